"""Processes and what they have open."""

from __future__ import annotations

import ctypes
import os
import signal
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import closing, contextmanager

import msgspec

from guest import check, check_of_machine
from kernelsight.collectors.base import Host, Registered, registered
from kernelsight.collectors.bpf.process import TasksCollector
from kernelsight.collectors.kmsg.kernel_message import KernelMessages
from kernelsight.events.process import Process

ROUNDED = {"utime_ms": 30, "stime_ms": 30, "cpu_delay_ns": 0}
"""/proc has the times in ticks, and divides them as its reader before saw them."""
NOT_IN_BOTH = {"sockets", "frozen"}


@check("process")
def a_quiet_process_is_what_proc_says(entry: Registered) -> None:
    assert entry.factory is TasksCollector
    (procfs,) = (other for other in registered()["process"] if other.source == "procfs")
    with quiet_child() as pid, closing(entry.factory(Host())) as ours, closing(procfs.factory(Host())) as theirs:
        now = time.time_ns()
        ours_says, theirs_says = (
            next(event for event in collector.collect(now) if event.pid == pid) for collector in (ours, theirs)
        )
        lost = ours.lost
    differ = {
        name: (mine, proc)
        for name, mine, proc in fields(ours_says, theirs_says)
        if mine != proc and not (name in ROUNDED and abs(mine - proc) <= ROUNDED[name])
    }
    assert not differ, (differ, ours_says)
    assert ours_says.threads == 4, ours_says
    assert ours_says.read_chars > 100_000, ours_says
    assert ours_says.blkio_delay_ns is not None, ours_says
    assert lost == 0


@check("process_exit")
def ends_of_processes_are_told_with_their_status_or_signal(entry: Registered) -> None:
    with closing(entry.factory(Host())) as exits:
        list(exits.collect(1))
        end_child(lambda: os._exit(7))
        end_child(lambda: os.kill(os.getpid(), signal.SIGKILL))
        end_child(lambda: os.execv("/bin/busybox", ["busybox", "true"]))
        said = [event for event in exits.collect(time.time_ns()) if event.parent_pid == os.getpid()]
    told = {(event.exit_status, event.exit_signal, event.executed): (event.count, event.failed) for event in said}
    assert told == {(7, None, False): (1, 1), (None, signal.SIGKILL, False): (1, 1), (0, None, True): (1, 0)}, said
    assert all(event.lifetime_ms > 0 and event.parent_comm for event in said), said


@check_of_machine
def a_fault_of_a_process_is_understood_in_the_words_of_this_kernel() -> None:
    log = KernelMessages(Host())
    with closing(log):
        list(log.collect(1))
        pid = end_child(lambda: ctypes.string_at(0))
        deadline, said = time.monotonic() + 30, []
        while not said and time.monotonic() < deadline:
            log.drain(lambda ktime: ktime + 1)
            said = [event for event in log.collect(time.time_ns()) if event.pid == pid]
    assert [event.message_kind for event in said] == ["segfault"], said


def end_child(how: Callable[[], object]) -> int:
    """A child that ends in a way; its pid, once it has ended."""
    pid = os.fork()
    if not pid:
        how()
        os._exit(1)
    os.waitpid(pid, 0)
    return pid


def fields(first: Process, second: Process) -> Iterator[tuple[str, int, int]]:
    """The fields of two events beside each other."""
    for field in msgspec.structs.fields(Process):
        if field.name not in NOT_IN_BOTH:
            yield field.name, getattr(first, field.name), getattr(second, field.name)


@contextmanager
def quiet_child() -> Iterator[int]:
    """A process with threads, memory, files and I/O behind it that now waits; its pid."""
    ready, stop = os.pipe(), os.pipe()
    if (pid := os.fork()) == 0:
        memory = bytearray(3_000_000)
        descriptors = [os.open("/dev/zero", os.O_RDONLY) for _ in range(5)]
        os.readv(descriptors[0], [memory])
        written = os.open("/data/written", os.O_WRONLY | os.O_CREAT)
        os.write(written, memory)
        os.fsync(written)
        waiting = threading.Barrier(4)
        for _ in range(3):
            threading.Thread(target=lambda: (waiting.wait(), threading.Event().wait()), daemon=True).start()
        waiting.wait()
        time.sleep(0.1)
        os.write(ready[1], b"x")
        os.read(stop[0], 1)
        os._exit(0)
    try:
        os.read(ready[0], 1)
        time.sleep(0.2)  # until it waits, and what it did has been added up
        yield pid
    finally:
        os.write(stop[1], b"x")
        os.waitpid(pid, 0)
        for descriptor in (*ready, *stop):
            os.close(descriptor)
