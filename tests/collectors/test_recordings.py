"""Everything that the collectors yield from trees recorded on three kernels, against golden files."""

from __future__ import annotations

import shutil

import pytest
from recordings import GOLDEN, KERNELS, NAMES, NOW, TREES, events, host

from kernelsight.collectors.base import Host, open_best
from kernelsight.collectors.procfs.memory import _NAMES as MEMINFO_NAMES
from kernelsight.errors import SourceUnavailableError
from kernelsight.events.declare import kind_of
from kernelsight.events.memory import Memory
from kernelsight.events.wire import decoder, encode_lines


@pytest.mark.parametrize("kernel", KERNELS)
def test_a_recorded_tree_yields_the_golden_events(kernel):
    expected = (GOLDEN / f"{kernel}.ndjson").read_bytes()
    assert encode_lines(events(kernel)).decode().splitlines() == expected.decode().splitlines()


@pytest.mark.parametrize("kernel", KERNELS)
def test_the_wire_takes_every_event_unchanged(kernel):
    made = list(events(kernel))
    assert decoder().decode_lines(encode_lines(made)) == made
    assert {event.timestamp for event in made} == {NOW}


@pytest.mark.parametrize("kernel", KERNELS)
def test_a_second_sample_reads_from_the_start_again(kernel):
    for name in NAMES:
        _, collector = open_best(name, host(kernel))
        first = list(collector.collect(NOW))
        again = list(collector.collect(NOW))
        collector.close()
        collector.close()
        # Listeners without connections, and groups that did not move, have no second row.
        assert [event for event in first if event in again] == again
        assert again


def test_every_column_of_memory_has_its_name_in_meminfo():
    assert ("timestamp", *MEMINFO_NAMES, "zfs_arc_kb") == kind_of(Memory).column_names


def test_no_recorded_kernel_leaves_a_column_of_memory_empty_that_the_newest_has():
    latest = next(event for event in events("linux-6.18") if isinstance(event, Memory))
    assert [name for name in kind_of(Memory).column_names if getattr(latest, name) is None] == ["zfs_arc_kb"]


def test_what_the_cache_of_zfs_would_give_back_is_its_size_above_its_minimum(tmp_path):
    tree = tmp_path / "proc"
    (tree / "spl/kstat/zfs").mkdir(parents=True)
    shutil.copy(TREES / "linux-6.18/proc/meminfo", tree / "meminfo")
    arc = "13 1 0x01 147 39984 3 4\nname type data\nhits 4 9\nc_min 4 1073741824\nc_max 4 99\nsize 4 7516192768\n"
    (tree / "spl/kstat/zfs/arcstats").write_text(arc)
    _, collector = open_best("memory", Host(proc=tree))
    [memory] = collector.collect(NOW)
    collector.close()
    assert memory.zfs_arc_kb == 6 << 20


@pytest.mark.parametrize(
    ("name", "path"),
    [
        ("memory", "meminfo"),
        ("vmstat", "vmstat"),
        ("load", "loadavg"),
        ("cpu", "stat"),
        ("pressure", "pressure"),
        ("network", "net/dev"),
        ("tcp", "net/tcp"),
        ("tcp_retransmit", "net/snmp"),
        ("filesystem", "self/mountinfo"),
    ],
)
def test_a_missing_file_is_said_by_name(name, path, tmp_path):
    tree = tmp_path / "tree"
    shutil.copytree(TREES / "linux-6.18", tree)
    gone = tree / "proc" / path
    shutil.rmtree(gone) if gone.is_dir() else gone.unlink()
    there = host("linux-6.18")
    with pytest.raises(SourceUnavailableError, match=str(gone)):
        open_best(name, type(there)(proc=tree / "proc", sys=tree / "sys", cgroup=tree / "sys/fs/cgroup"))


@pytest.mark.parametrize("path", ["net/tcp6", "net/sockstat6", "net/netstat"])
def test_a_kernel_without_ipv6_or_netstat_still_counts(path, tmp_path):
    tree = tmp_path / "tree"
    shutil.copytree(TREES / "linux-6.18", tree)
    (tree / "proc" / path).unlink()
    there = type(host("linux-6.18"))(proc=tree / "proc", sys=tree / "sys", cgroup=tree / "sys/fs/cgroup")
    for name in ("tcp", "tcp_retransmit"):
        _, collector = open_best(name, there)
        assert list(collector.collect(NOW))
        collector.close()
