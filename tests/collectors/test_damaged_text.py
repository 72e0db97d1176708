"""Parsers on text that is not what it should be: refused by name, or events that the wire takes; nothing else."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from recordings import KERNELS, NOW, TREES, recorded_space

from kernelsight.collectors.netlink.tcp import parse_dump
from kernelsight.collectors.procfs.cpu import parse_stat
from kernelsight.collectors.procfs.filesystem import filesystem_event, parse_mountinfo, watched
from kernelsight.collectors.procfs.load import parse_loadavg
from kernelsight.collectors.procfs.memory import parse_meminfo
from kernelsight.collectors.procfs.network import parse_net_dev, parse_speed
from kernelsight.collectors.procfs.pressure import parse_pressure
from kernelsight.collectors.procfs.tcp import parse_proc_tcp
from kernelsight.collectors.procfs.tcp_retransmit import parse_tcp_counters
from kernelsight.collectors.procfs.vmstat import parse_vmstat
from kernelsight.collectors.sockets import ListenerEvents, tcp_event
from kernelsight.collectors.sockstat import parse_sockstat
from kernelsight.collectors.sysfs.block import parse_block_stat
from kernelsight.errors import SourceUnavailableError
from kernelsight.events.declare import Event
from kernelsight.events.wire import decoder, encode_lines

Parser = Callable[[bytes], Iterable[Event]]


def tcp(text: bytes) -> Iterable[Event]:
    by_state, listeners = parse_proc_tcp(text)
    totals = parse_sockstat((TREES / "linux-6.18/proc/net/sockstat").read_bytes(), None)
    return [tcp_event(NOW, by_state, totals), *ListenerEvents().choose(NOW, listeners)]


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


@pytest.mark.parametrize("path", PARSERS)
def test_text_cut_within_a_line_is_refused(path):
    for text in recorded(path):
        ends = {at for at in range(len(text)) if text[at : at + 1] != b"\n"}
        for end in sorted(ends)[:: max(1, len(ends) // 300)]:
            cut = text[:end]
            if not cut.endswith(b"\n"):
                assert refuses_or_yields_events(PARSERS[path], cut), cut[-80:]


@pytest.mark.parametrize("path", PARSERS)
@pytest.mark.parametrize("text", [b"", b"\n", b"\0" * 64, b"garbage\n", b"<html>\n</html>\n", b"1\n", b"\xff\xfe\n"])
def test_garbage_is_refused(path, text):
    assert refuses_or_yields_events(PARSERS[path], text)


@pytest.mark.parametrize("path", PARSERS)
@given(data=st.data())
@settings(max_examples=150, deadline=None)
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
@settings(max_examples=100, deadline=None)
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
