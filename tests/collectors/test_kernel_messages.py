"""The kernel's log: records as the kernel writes them, and the real log where this user may read it."""

from __future__ import annotations

import ctypes
import os
import signal
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from kernelsight.collectors.base import Host
from kernelsight.collectors.kmsg.kernel_message import KernelMessages
from kernelsight.collectors.kmsg.record import parse_record
from kernelsight.errors import SourceUnavailableError
from kernelsight.events.kernel_message import KernelMessage


def test_a_record_of_the_kernel_is_told_from_one_of_a_program() -> None:
    record = parse_record(b"3,383,270892340,-;I/O error, dev loop0, sector 49704\n SUBSYSTEM=block\n DEVICE=b7:0\n")
    assert (record.level, record.sequence, record.uptime_us) == (3, 383, 270892340)
    assert record.from_kernel
    assert record.device == b"b7:0"
    assert record.text == b"I/O error, dev loop0, sector 49704"
    assert not parse_record(b"11,539,880101891,-;I/O error, dev sda, sector 1\n").from_kernel
    assert not parse_record(b"6,539,880101891,-;[U] I/O error, dev sda, sector 1\n").from_kernel


def test_fields_of_later_kernels_and_escapes_are_read() -> None:
    record = parse_record(b"6,1,2,c,caller=T21;a\\x0ab \\x5cx \\xc3\\xa9\n")
    assert record.text == "a\nb \\x é".encode()
    assert record.continues


@pytest.mark.parametrize("raw", [b"", b"6,1;x", b"no record", b"6,x,2,-;a\n", b"-1,1;2"])
def test_what_is_no_record_is_refused(raw: bytes) -> None:
    with pytest.raises(ValueError, match=r"integer|fields"):
        parse_record(raw)


def test_a_log_that_is_not_there_is_said(tmp_path: Path) -> None:
    with pytest.raises(SourceUnavailableError, match="log is not there"):
        KernelMessages(Host(), tmp_path / "kmsg")


@pytest.fixture
def log() -> Iterator[KernelMessages]:
    try:
        found = KernelMessages(Host())
    except SourceUnavailableError as error:
        pytest.skip(str(error))
    found.collect(0)
    yield found
    found.close()


def _until(log: KernelMessages, wanted: str, *, deadline_s: float = 5.0) -> KernelMessage:
    end = time.monotonic() + deadline_s
    while time.monotonic() < end:
        log.drain(lambda ktime: ktime + time.time_ns() - time.monotonic_ns())
        for event in log.collect(time.time_ns()):
            assert isinstance(event, KernelMessage)
            if wanted in (event.text or ""):
                return event
        time.sleep(0.02)
    raise AssertionError(f"no message with {wanted!r}")


def test_a_segmentation_fault_is_said_with_the_process(log: KernelMessages) -> None:
    before = time.time_ns()
    child = os.fork()
    if not child:
        signal.signal(signal.SIGSEGV, signal.SIG_DFL)
        ctypes.string_at(0)
    os.waitpid(child, 0)
    event = _until(log, f"[{child}]")
    assert (event.message_kind, event.from_kernel, event.pid) == ("segfault", True, child)
    assert before - 50_000_000 <= event.timestamp <= time.time_ns()


@pytest.mark.root
@pytest.mark.parametrize("level", ["", "<3>", "<0>", "<2048>"])
def test_what_a_program_writes_is_never_taken_for_the_kernels(log: KernelMessages, level: str) -> None:
    mark = f"sector {time.monotonic_ns()}"
    Path("/dev/kmsg").write_text(f"{level}I/O error, dev sda, {mark} op 0x0:(READ)\n", encoding="utf-8")
    event = _until(log, mark)
    assert (event.message_kind, event.from_kernel, event.device) == ("user", False, None)


@pytest.mark.root
def test_a_flood_is_bounded_and_counted(log: KernelMessages) -> None:
    for number in range(1500):  # each opened anew: the kernel takes ten of one writer in five seconds
        Path("/dev/kmsg").write_text(f"flood {number}\n", encoding="utf-8")
    log.drain(lambda ktime: ktime + time.time_ns() - time.monotonic_ns())
    rows = [event for event in log.collect(time.time_ns()) if isinstance(event, KernelMessage)]
    flood = [row for row in rows if "flood" in (row.text or "")]
    assert len(flood) == 1
    Path("/dev/kmsg").write_text("the last one\n", encoding="utf-8")
    _until(log, "the last one")
    assert (flood[0].count or 0) + log.lost >= 1500
