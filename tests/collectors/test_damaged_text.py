"""Parsers on text that is not what it should be: the good is kept, the bad is missing and noted, nothing is wrong."""

from __future__ import annotations

import dataclasses
import re
import shutil
from collections.abc import Callable, Iterable, Iterator
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from recordings import KERNELS, NOW, TREES, recorded_space

from kernelsight.collectors.base import Host
from kernelsight.collectors.damage import Damage, noted_in, parsing
from kernelsight.collectors.netlink.tcp import parse_dump
from kernelsight.collectors.procfs import cgroup_text
from kernelsight.collectors.procfs.cpu import CpuCollector, parse_stat
from kernelsight.collectors.procfs.file_lock_wait import parse_locks
from kernelsight.collectors.procfs.filesystem import (
    FilesystemCollector,
    Mount,
    filesystem_event,
    parse_mountinfo,
    watched,
)
from kernelsight.collectors.procfs.limit import parse_key_users
from kernelsight.collectors.procfs.load import parse_loadavg
from kernelsight.collectors.procfs.memory import MemoryCollector, parse_meminfo
from kernelsight.collectors.procfs.network import parse_net_dev, parse_speed
from kernelsight.collectors.procfs.pressure import parse_pressure
from kernelsight.collectors.procfs.process import ProcessCollector
from kernelsight.collectors.procfs.process_text import parse_cgroup, parse_io, parse_status
from kernelsight.collectors.procfs.process_text import parse_stat as parse_stat_of
from kernelsight.collectors.procfs.tcp import parse_proc_tcp
from kernelsight.collectors.procfs.tcp_retransmit import parse_tcp_counters
from kernelsight.collectors.procfs.udp_socket import parse_proc_udp
from kernelsight.collectors.procfs.vmstat import parse_vmstat
from kernelsight.collectors.sockets import ListenerEvents, connection_events, tcp_event
from kernelsight.collectors.sockstat import parse_sockstat
from kernelsight.collectors.sysfs.block import parse_block_stat
from kernelsight.collectors.udp import UdpEvents
from kernelsight.errors import SourceUnavailableError
from kernelsight.events.cgroup import Cgroup
from kernelsight.events.declare import Event, kind_of
from kernelsight.events.wire import decoder, encode_lines

CASES = Path(__file__).parents[1] / "fixtures/cases"
Parser = Callable[[bytes], Iterable[Event]]


def tcp(text: bytes) -> Iterable[Event]:
    by_state, listeners, connections = parse_proc_tcp(text)
    totals = parse_sockstat((TREES / "linux-6.18/proc/net/sockstat").read_bytes(), None)
    events = [tcp_event(NOW, by_state, totals), *ListenerEvents().choose(NOW, listeners)]
    return [*events, *connection_events(NOW, connections)]


def sockstat(text: bytes) -> Iterable[Event]:
    return [tcp_event(NOW, {}, parse_sockstat(text, None))]


def filesystems(text: bytes) -> Iterable[Event]:
    mounts = watched(parse_mountinfo(text), remote_too=True)
    return [filesystem_event(mount, recorded_space(mount.point), NOW) for mount in mounts]


PARSERS: dict[str, Parser] = {
    "proc/meminfo": lambda text: [parse_meminfo(text, NOW)],
    "proc/vmstat": lambda text: [parse_vmstat(text, NOW)],
    "proc/loadavg": lambda text: [parse_loadavg(text, NOW)],
    "proc/stat": lambda text: parse_stat(text, NOW),
    "proc/pressure/cpu": lambda text: [parse_pressure("cpu", "system", text, NOW)],
    "proc/net/dev": lambda text: parse_net_dev(text, NOW),
    "proc/net/tcp": tcp,
    "proc/net/tcp6": tcp,
    "proc/net/sockstat": sockstat,
    "proc/net/snmp": lambda text: [parse_tcp_counters(text, None, NOW)],
    "proc/self/mountinfo": filesystems,
    "sys/block/vda/stat": lambda text: [parse_block_stat("vda", text, NOW)],
}


def recorded(path: str) -> list[bytes]:
    return [(TREES / kernel / path).read_bytes() for kernel in KERNELS]


def mounts(text: bytes) -> Iterable[Any]:
    return parse_mountinfo(text)


def control_group(file: str) -> Parser:
    def parse(text: bytes) -> Iterable[Event]:
        event = Cgroup(NOW, cgroup="/a")
        (cgroup_text.fill_v1 if file in V1 else cgroup_text.fill_v2)(event, {file: text})
        return [event]

    return parse


V1 = {
    "blkio.throttle.io_service_bytes_recursive": b"8:0 Read 812\n8:0 Write 77\n8:0 Total 889\nTotal 889\n",
    "cpuacct.usage": b"123456789012\n",
}
CGROUP = {
    "cpu.stat": b"usage_usec 8123\nuser_usec 7000\nsystem_usec 1123\nnr_periods 12\nnr_throttled 3\nthrottled_usec 9\n",
    "cpu.max": b"50000 100000\n",
    "memory.current": b"123456789\n",
    "memory.max": b"max\n",
    "memory.stat": b"anon 4096\nfile 81920\nshmem 0\nfile_dirty 4096\npgmajfault 17\nworkingset_refault_anon 3\n"
    b"workingset_refault_file 71\n",
    "memory.events": b"low 0\nhigh 12\nmax 33\noom 1\noom_kill 1\n",
    "io.stat": b"8:0 rbytes=8120 wbytes=770 rios=12 wios=7 dbytes=0 dios=0\n"
    b"8:16 rbytes=55 wbytes=66 rios=1 wios=2 dbytes=0 dios=0\n",
    "io.max": b"8:0 rbps=1048576 wbps=max riops=120 wiops=max\n",
    "pids.current": b"4711\n",
} | V1
STATUS = (CASES / "status_400_groups_cut_at_4096.txt").read_bytes()
PROCESS: dict[str, tuple[Callable[[bytes], object], bytes]] = {
    "stat": (
        parse_stat_of,
        b"812 (a) R (1 x) S 1 812 812 0 -1 4194560 1123 5512 13 17 1234 5678 21 22 20 0 3 0 98765 123456789 4321"
        + 28 * b" 17"
        + b"\n",
    ),
    "status": (parse_status, STATUS),
    "io": (
        parse_io,
        (
            b"rchar: 32393\nwchar: 323929600\nsyscr: 632687\nsyscw: 675\nread_bytes: 4096\nwrite_bytes: 321\n"
            b"cancelled_write_bytes: 8192\n"
        ),
    ),
    "cgroup": (parse_cgroup, b"5:memory:/m/long name\n2:cpu,cpuacct:/c\n1:name=systemd:/s\n0::/u/service\n"),
}
"""The files of one process, each with its parser."""


def of_one(parse: Callable[[bytes], object]) -> Parser:
    def parse_or_refuse(text: bytes) -> Iterable[Any]:
        with parsing("a file of a process", text):
            return [parse(text)]

    return parse_or_refuse


TEXTS: dict[str, Parser] = (
    PARSERS
    | {
        "proc/self/mountinfo": mounts,
        "proc/net/netstat": lambda text: [parse_tcp_counters(SNMP, text, NOW)],
        "proc/net/udp": lambda text: UdpEvents().choose(NOW, parse_proc_udp(text)),
        "proc/locks": lambda text: parse_locks(text, NOW),
    }
    | {file: control_group(file) for file in CGROUP}
    | {name: of_one(parse) for name, (parse, _) in PROCESS.items()}
)
SNMP = (TREES / "linux-6.18/proc/net/snmp").read_bytes()
LOCKS = (
    b"1: FLOCK  ADVISORY  WRITE 812 fe:00:2155003 0 EOF\n"
    b"1: -> FLOCK  ADVISORY  WRITE 813 fe:00:2155003 0 EOF\n"
    b"2: POSIX  ADVISORY  READ 77 fe:00:11 128 128\n"
    b"2: -> POSIX  ADVISORY  WRITE 79 fe:00:11 128 128\n"
)


def texts(path: str) -> list[bytes]:
    if path in CGROUP:
        return [CGROUP[path]]
    if path in PROCESS:
        return [PROCESS[path][1]]
    return [LOCKS] if path == "proc/locks" else recorded(path)


def refuses_or_yields_events(parse: Parser, text: bytes) -> bool:
    """Whether it was refused; events, when there are some, are what the wire gives back."""
    try:
        events = list(parse(text))
    except SourceUnavailableError:
        return True
    assert decoder().decode_lines(encode_lines(events)) == events
    return False


def test_every_recorded_text_is_taken():
    for path, parse in PARSERS.items():
        for text in recorded(path):
            assert not refuses_or_yields_events(parse, text), path


def numbers_of(parse: Parser, text: bytes) -> dict[object, dict[str, object]] | None:
    """What was read, by row; None: it was refused as a whole."""
    try:
        with noted_in(Damage()):
            read = list(parse(text))
    except SourceUnavailableError:
        return None
    return {row_key(row): row_columns(row) for row in read}


def row_key(row: object) -> object:
    if isinstance(row, Mount):
        return row.id
    if not isinstance(row, Event):
        return type(row).__name__
    kind = kind_of(type(row))
    return (kind.name, *(getattr(row, column) for column in kind.entity))


def row_columns(row: object) -> dict[str, object]:
    if isinstance(row, Event):
        return {column: getattr(row, column) for column in row.__struct_fields__}
    return dataclasses.asdict(row) if isinstance(row, Mount) else row._asdict()


def never_wrong(path: str, parse: Parser, intact: bytes, damaged: bytes) -> None:
    """Each value of the damaged text is that of the intact text, or missing."""
    right, read = numbers_of(parse, intact), numbers_of(parse, damaged)
    for key, columns in (read or {}).items():
        assert key in right, (path, key, damaged[-80:])
        for column, value in columns.items():
            assert value is None or value == right[key][column], (path, key, column, value, damaged[-80:])


def ends_of(text: bytes, most: int) -> Iterator[int]:
    """Where to cut: everywhere in a short text, else at places spread over it."""
    yield from range(0, len(text), max(1, len(text) // most))


BY_LINE = ("proc/net/tcp", "proc/net/tcp6", "io.stat", "io.max", "blkio.throttle.io_service_bytes_recursive", "cgroup")
"""Cut at the end of a line these look whole, and all lines count: a kernel that reads to the end never does that."""
WITH_PATHS = ("cgroup", "proc/self/mountinfo")
MANY = b"9" * 5000


@pytest.mark.parametrize("padding", [b"", b"\0" * 300], ids=["cut", "cut and NULs"])
@pytest.mark.parametrize("path", TEXTS)
def test_text_that_ends_anywhere_gives_no_wrong_value(path, padding):
    for text in texts(path):
        for end in ends_of(text, 120):
            cut = text[:end]
            if not (path in BY_LINE and (not cut or cut.endswith(b"\n"))):
                never_wrong(path, TEXTS[path], text, cut + padding)


@pytest.mark.parametrize("path", TEXTS)
def test_one_odd_line_costs_its_own_row_alone_and_is_counted(path):
    for text in texts(path):
        lines = text.splitlines(keepends=True)
        right = numbers_of(TEXTS[path], text)
        for at in range(0, len(lines), max(1, len(lines) // 20)):
            more = [] if path in WITH_PATHS else [lines[at][:-1].replace(b" ", b" x", 1)]
            for odd in (b"\xff garbage \0\x1b[2J", b"", b"::: - :::", *more):
                damaged = b"".join([*lines[:at], odd + b"\n", *lines[at + 1 :]])
                never_wrong(path, TEXTS[path], text, damaged)
                read = numbers_of(TEXTS[path], damaged)
                if len(lines) > 4 and at > 0 and len(right) > 2:
                    assert read is not None, damaged[:300]
                    assert len(read) >= len(right) - 1, (odd, lines[at])


@pytest.mark.parametrize("path", TEXTS)
def test_nuls_after_the_text_change_nothing(path):
    for text in texts(path):
        assert numbers_of(TEXTS[path], text + b"\0" * 4096) == numbers_of(TEXTS[path], text)


@pytest.mark.parametrize("path", TEXTS)
def test_a_missing_last_newline_costs_one_word(path):
    for text in texts(path):
        right = numbers_of(TEXTS[path], text)
        read = numbers_of(TEXTS[path], text.removesuffix(b"\n")) or {}
        missing = [
            (key, column) for key, columns in right.items() for column in columns if key in read
            and read[key][column] != columns[column]
        ]  # fmt: skip
        if path not in BY_LINE:
            assert len(missing) <= (1 if path != "status" else 2), missing


@pytest.mark.parametrize("path", TEXTS)
@given(data=st.data())
@settings(max_examples=25, deadline=None, derandomize=True)
def test_a_word_that_is_no_number_is_missing(path, data):
    text = data.draw(st.sampled_from(texts(path)))
    words = list(re.finditer(rb"(?<=[ \t])[0-9]+(?=[ \n])", text))
    if not words:
        return
    word = data.draw(st.sampled_from(words))
    odd = data.draw(st.sampled_from([b"x", b"1x", b"1_0", b"+1", b"0x1f", b"\xff", b"nan", b"1e5", b"--1", MANY]))
    never_wrong(path, TEXTS[path], text, text[: word.start()] + odd + text[word.end() :])


@pytest.mark.parametrize("path", PARSERS)
@pytest.mark.parametrize("text", [b"", b"\n", b"\0" * 64, b"garbage\n", b"<html>\n</html>\n", b"1\n", b"\xff\xfe\n"])
def test_garbage_is_refused(path, text):
    assert refuses_or_yields_events(PARSERS[path], text)


@pytest.mark.parametrize("path", PARSERS)
@given(data=st.data())
@settings(max_examples=60, deadline=None)
def test_changed_bytes_never_make_anything_but_events_or_a_refusal(path, data):
    text = data.draw(st.sampled_from(recorded(path)))
    for _ in range(data.draw(st.integers(1, 4))):
        at = data.draw(st.integers(0, len(text)))
        end = data.draw(st.integers(at, min(at + 40, len(text))))
        what = data.draw(st.binary(max_size=30) | st.from_regex(rb"[-0-9 :]{0,30}", fullmatch=True))
        text = text[:at] + what + text[end:]
    refuses_or_yields_events(PARSERS[path], text)


@pytest.mark.parametrize("path", PARSERS)
@given(text=st.binary(max_size=300))
@settings(max_examples=50, deadline=None)
def test_any_bytes_are_refused_or_make_events(path, text):
    refuses_or_yields_events(PARSERS[path], text)


@given(answer=st.binary(max_size=400))
@settings(max_examples=300, deadline=None)
def test_any_answer_of_netlink_is_refused_or_counted(answer):
    try:
        dump = parse_dump([answer])
    except SourceUnavailableError:
        return
    assert sum(dump.by_state.values()) * 88 <= len(answer)


def test_a_refusal_says_which_file_and_what_it_said():
    with pytest.raises(SourceUnavailableError, match=r"/proc/loadavg says b'nonsense\\n', which cannot be read: .+"):
        parse_loadavg(b"nonsense\n", NOW)


def test_numbers_past_64_bits_are_missing_and_not_wrong():
    text = Path(TREES / "linux-6.18/proc/vmstat").read_bytes()
    changed = text.replace(b"\npswpin 0\n", b"\npswpin 18446744073709551615\n")
    assert changed != text
    assert parse_vmstat(changed, NOW).pswpin is None
    assert parse_vmstat(changed, NOW).pswpout == 0


@pytest.mark.parametrize(
    ("text", "speed"),
    [(None, None), (b"10000\n", 10000), (b"-1\n", None), (b"4294967295\n", None), (b"", None), (b"fast\n", None)],
)
def test_a_speed_that_the_driver_does_not_know_is_missing(text, speed):
    assert parse_speed(text) == speed


def test_older_kernels_columns_are_missing_and_not_zero():
    # Linux 4.9: no discards, no flushes; 5.4: discards, no flushes.
    old = parse_block_stat("sda", b" 1 2 3 4 5 6 7 8 9 10 11\n", NOW)
    assert (old.read_ios, old.time_in_queue, old.discard_ios, old.flush_ios) == (1, 11, None, None)
    newer = parse_block_stat("sda", b" 1 2 3 4 5 6 7 8 9 10 11 12 13 14 15\n", NOW)
    assert (newer.discard_ticks, newer.flush_ios) == (15, None)
    # Linux 5.10: the CPU has no `full` line.
    cpu = parse_pressure("cpu", "system", b"some avg10=1.00 avg60=2.00 avg300=3.00 total=4\n", NOW)
    assert (cpu.some_avg60, cpu.some_total_us, cpu.full_avg10, cpu.full_total_us) == (2.0, 4, None, None)
    # Interrupts have no `some` line.
    irq = parse_pressure("irq", "system", b"full avg10=1.00 avg60=2.00 avg300=3.00 total=4\n", NOW)
    assert (irq.some_total_us, irq.full_total_us) == (None, 4)


def test_columns_and_lines_of_kernels_to_come_are_passed_over():
    assert parse_block_stat("sda", b"1 2 3 4 5 6 7 8 9 10 11 12 13 14 15 16 17 18 19\n", NOW).flush_ticks == 17
    text = (TREES / "linux-6.18/proc/meminfo").read_bytes()
    assert parse_meminfo(text + b"Quantum:   5 qB\n", NOW) == parse_meminfo(text, NOW)
    text = (TREES / "linux-6.18/proc/stat").read_bytes()
    assert parse_stat(text + b"new_line 1 2 3\n", NOW) == parse_stat(text, NOW)


def test_names_that_are_not_utf8_are_shown_and_not_lost():
    text = (TREES / "linux-6.18/proc/net/dev").read_bytes().replace(b"ks0", b"k\xff0")
    assert any(event.interface_name == r"k\xff0" for event in parse_net_dev(text, NOW))


# --- through the collectors: what comes of a damaged file of a tree ---


def noted(collector, now=NOW) -> tuple[list[Event], Damage]:
    with noted_in(Damage()) as damage:
        events = list(collector.collect(now))
    collector.close()
    return events, damage


@pytest.fixture
def tree(tmp_path) -> Path:
    shutil.copytree(TREES / "linux-6.1", tmp_path / "host", symlinks=True)
    return tmp_path / "host"


def host_of(tree: Path) -> Host:
    return Host(proc=tree / "proc", sys=tree / "sys", cgroup=tree / "sys/fs/cgroup")


def test_nuls_behind_meminfo_are_no_damage(tree):
    (tree / "proc/meminfo").write_bytes((CASES / "meminfo_trailing_nul.txt").read_bytes())
    (event,), damage = noted(MemoryCollector(host_of(tree)))
    assert (event.mem_total_kb, event.cached_kb, event.slab_kb) == (7999812, 1200000, None)
    assert (damage.count, damage.sentences) == (0, [])


def test_a_stat_that_is_cut_keeps_what_is_before_the_cut(tree):
    (tree / "proc/stat").write_bytes((CASES / "stat_cut_within_intr.txt").read_bytes())
    (together, first), damage = noted(CpuCollector(host_of(tree)))
    assert (together.cpu, together.idle, together.interrupts, together.context_switches) == (
        -1,
        587859166,
        3578066,
        None,
    )
    assert (first.cpu, first.user, first.guest_nice) == (0, 347, 0)
    assert damage.count == 1
    assert "/proc/stat" in damage.sentences[0]


def test_one_bad_line_of_mountinfo_costs_one_mount_and_is_named_once(tree):
    (tree / "proc/self/mountinfo").write_bytes((CASES / "mountinfo_one_malformed_line.txt").read_bytes())
    events, damage = noted(FilesystemCollector(host_of(tree), recorded_space))
    assert [event.mount_point for event in events] == ["/", "/data"]
    assert damage.count == 1
    (sentence,) = damage.sentences
    assert "/proc/self/mountinfo, 1 times since the start, first: '44 23 garbage'" in sentence


def test_a_long_status_is_read_to_its_end(tree):
    (tree / "proc/1/status").write_bytes(STATUS)
    assert len(STATUS) > 4096
    events, damage = noted(ProcessCollector(host_of(tree)))
    event = next(event for event in events if event.pid == 1)
    assert (event.rss_kb, event.anon_kb, event.uid, event.voluntary_switches) == (123456, 100000, 1532536188, 7)
    assert damage.count == 0


@pytest.mark.parametrize("file", ["stat", "status", "io", "limits", "cgroup", "schedstat"])
@pytest.mark.parametrize("text", [b"", b"\0" * 4096, b"\xff\xfe garbage\n", b"no newline 12", "half"])
def test_one_odd_process_costs_nobody_else_anything(tree, file, text):
    intact, _ = noted(ProcessCollector(host_of(tree)))
    folder = tree / "proc/1"
    said = (folder / file).read_bytes()
    (folder / file).write_bytes(said[: len(said) // 2] if text == "half" else text)
    events, damage = noted(ProcessCollector(host_of(tree)))
    assert [event for event in events if event.pid != 1] == [event for event in intact if event.pid != 1]
    mine = [event for event in events if event.pid == 1]
    right = next(event for event in intact if event.pid == 1)
    for event in mine:
        for column in event.__struct_fields__:
            assert getattr(event, column) in (None, getattr(right, column)), column
    assert damage.count or text == b"" or file == "limits"


def test_a_process_without_a_user_has_none(tree):
    (tree / "proc/1/status").write_bytes((CASES / "status_no_uid.txt").read_bytes())
    events, _ = noted(ProcessCollector(host_of(tree)))
    event = next(event for event in events if event.pid == 1)
    assert (event.uid, event.rss_kb) == (None, 5)
    assert all(event.uid is not None for event in events if event.pid != 1)


def test_what_a_report_says_of_damage_is_short_and_commands_no_terminal():
    damage = Damage()
    for place in range(1000):
        damage.note(b"\x1b[2J".decode(), b"\x1b[31m\xff" * 100, f"/proc/{place}")
    said = "; ".join(damage.sentences)
    assert damage.count == 1000
    assert len(said) < 1500
    assert said.isprintable()
    assert said.isascii()


def test_one_odd_line_of_the_users_of_keys_costs_one_user():
    text = b"    0:    97 96/96 85/1000000 1883/25000000\n 1000: garbage\n 1001:     9 8/8 3/200 40/20000\n"
    with noted_in(Damage()) as damage:
        assert [(row.uid, row.used, row.maximum) for row in parse_key_users(text, NOW)] == [
            (0, 85, 1000000),
            (1001, 3, 200),
        ]
    assert damage.count == 1
