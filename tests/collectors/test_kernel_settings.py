"""Settings of the kernel: from a tree of files, and on this machine."""

from __future__ import annotations

import time
from pathlib import Path

import pytest

from kernelsight.collectors.base import Host
from kernelsight.collectors.clock import NS_PER_S
from kernelsight.collectors.damage import Damage, noted_in
from kernelsight.collectors.differences import Difference, Differences
from kernelsight.collectors.procfs.kernel_setting import EVERY_S, KernelSettingCollector, files, value_in
from kernelsight.errors import SourceUnavailableError
from kernelsight.linux.settings import is_watched, sysctl_name

NOW = 1_800_000_000 * NS_PER_S
TREE = {
    "proc/sys/vm/swappiness": "60\n",
    "proc/sys/vm/stat_refresh": "",
    "proc/sys/kernel/hostname": "somebody\n",
    "proc/sys/kernel/random/uuid": "1\n",
    "proc/sys/fs/file-nr": "751\t0\t2466174\n",
    "proc/sys/net/ipv4/tcp_rmem": "4096\t131072\t6291456\n",
    "proc/sys/net/ipv4/conf/all/rp_filter": "2\n",
    "proc/sys/net/ipv4/conf/eth0.5/rp_filter": "2\n",
    "sys/kernel/mm/transparent_hugepage/enabled": "always [madvise] never\n",
    "sys/block/sda/queue/scheduler": "none [mq-deadline] kyber\n",
    "sys/block/sda/queue/rotational": "1\n",
}


class Machine:
    """A tree of files, and a clock."""

    def __init__(self, root: Path) -> None:
        self.root, self.seconds = root, 0
        for path, text in TREE.items():
            self.write(path, text)
        self.host = Host(proc=root / "proc", sys=root / "sys", monotonic_ns=lambda: self.seconds * NS_PER_S)

    def write(self, path: str, text: str) -> None:
        (self.root / path).parent.mkdir(parents=True, exist_ok=True)
        (self.root / path).write_text(text, encoding="utf-8")

    def look(self, collector: KernelSettingCollector, seconds: int = 1):
        rows = []
        for _ in range(seconds):
            rows += collector.collect(NOW + self.seconds * NS_PER_S)
            self.seconds += 1
        return rows


@pytest.fixture
def machine(tmp_path: Path) -> Machine:
    return Machine(tmp_path)


def test_the_first_look_tells_every_setting_and_no_secret_count_or_name(machine):
    rows = machine.look(KernelSettingCollector(machine.host))
    assert {row.setting_name: row.value for row in rows} == {
        "vm.swappiness": "60",
        "net.ipv4.tcp_rmem": "4096 131072 6291456",
        "net.ipv4.conf.all.rp_filter": "2",
        "/sys/kernel/mm/transparent_hugepage/enabled": "madvise",
        "/sys/block/sda/queue/scheduler": "mq-deadline",
    }
    assert {(row.previous_value, row.unchanged_ns) for row in rows} == {(None, None)}


def test_a_change_is_one_row_that_says_between_which_looks_it_came(machine):
    collector = KernelSettingCollector(machine.host)
    machine.look(collector, 1 + EVERY_S)
    changed_ns = NOW + machine.seconds * NS_PER_S
    machine.write("proc/sys/vm/swappiness", "1\n")
    (row,) = machine.look(collector, 2 * EVERY_S)
    assert (row.setting_name, row.value, row.previous_value) == ("vm.swappiness", "1", "60")
    assert row.unchanged_ns < changed_ns <= row.timestamp
    assert row.timestamp - row.unchanged_ns <= (EVERY_S + 1) * NS_PER_S


def test_settings_of_a_module_come_and_go(machine):
    collector = KernelSettingCollector(machine.host)
    machine.look(collector)
    file = "proc/sys/net/netfilter/nf_conntrack_max"
    machine.write(file, "65536\n")
    (came,) = machine.look(collector, 400)
    assert (came.value, came.previous_value, came.unchanged_ns is None) == ("65536", None, False)
    (machine.root / file).unlink()
    (went,) = machine.look(collector, 400)
    assert (went.value, went.previous_value) == (None, "65536")


def test_what_changes_all_the_time_is_given_up_and_noted():
    values: Differences[int] = Differences()
    with noted_in(Damage()) as damage:
        found = [values.seen("count", number, NOW + number) for number in range(200)]
    assert found[1] == Difference("count", 1, 0, NOW)
    assert 50 <= sum(difference is not None for difference in found) < 100
    assert "changes all the time" in " ".join(damage.sentences)


@pytest.mark.parametrize(
    ("said", "value"),
    [
        (b"4096\t131072\t6291456\n", "4096 131072 6291456"),
        (b"[always] madvise never\n", "always"),
        (b"|/usr/lib/dump %p [x]y\n", "|/usr/lib/dump %p [x]y"),
        (b"\xff\x1b[31m\n", "\\xff\x1b[31m"),
        (b"x" * 5000, "x" * 256),
        (b"", ""),
    ],
)
def test_what_a_file_says_becomes_a_short_value(said, value):
    assert value_in(said) == value


def test_names_are_those_of_sysctl():
    assert sysctl_name("net/ipv4/conf/all/rp_filter") == "net.ipv4.conf.all.rp_filter"
    assert sysctl_name("net/ipv4/conf/eth0.5/rp_filter") == "net.ipv4.conf.eth0/5.rp_filter"
    assert not is_watched("net/ipv6/conf/eth0/mtu")
    assert is_watched("net/ipv6/conf/default/mtu")


def test_without_proc_sys_it_says_so(tmp_path):
    with pytest.raises(SourceUnavailableError, match="is it mounted"):
        KernelSettingCollector(Host(proc=tmp_path))


def test_this_machine_has_some_hundred_settings_that_stay():
    host = Host()
    names = [name for name, _ in files(host)]
    assert 100 < len(names) == len(set(names)) <= 2000
    collector = KernelSettingCollector(host)
    assert len(list(collector.collect(time.time_ns()))) > 100
