"""Processes and what they have open."""

from __future__ import annotations

import os
import threading
import time
from collections.abc import Iterator
from contextlib import closing, contextmanager

import msgspec

from guest import check
from kernelsight.collectors.base import Host, Registered, registered
from kernelsight.collectors.bpf.process import TasksCollector
from kernelsight.events.process import Process

ROUNDED = {"utime_ms": 30, "stime_ms": 30, "cpu_delay_ns": 0}
"""/proc has the times in ticks, and divides them as its reader before saw them."""
NOT_IN_BOTH = {"sockets"}


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
