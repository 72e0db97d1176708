"""Rows of disks and of who uses them, for scenes in which it is known what happens."""

from __future__ import annotations

from collections.abc import Callable, Iterator

from scenes import LENGTH, SECOND, START

from kernelsight.events.block import Block
from kernelsight.events.process import Process
from kernelsight.events.scheduler import BlockedTask, Wait


def device(
    name: str,
    asked: Callable[[int], tuple[int, float]],
    *,
    kib: float = 4,
    reads: bool = True,
    in_flight: Callable[[int], int] = lambda _: 0,
) -> Iterator[Block]:
    """A disk to which so many requests are made in each second, that take so many ms each; one is served at a time."""
    ios = ticks = busy = queued = 0.0
    for second in range(LENGTH):
        count, ms = asked(second)
        ios, ticks, queued = ios + count, ticks + count * ms, queued + count * ms
        busy += min(1000.0, count * ms) if not in_flight(second) else 1000.0
        done = {"ios": int(ios), "sectors": int(2 * kib * ios), "ticks": int(ticks)}
        moved = {f"{'read' if reads else 'write'}_{metric}": value for metric, value in done.items()}
        still = {f"{'write' if reads else 'read'}_{metric}": 0 for metric in done}
        yield Block(
            START + second * SECOND + 5,
            device_name=name,
            io_ticks=int(busy),
            time_in_queue=int(queued),
            in_flight=in_flight(second),
            **moved,
            **still,
        )


def waited(pid: int, comm: str, call: str, seconds: Callable[[int], tuple[int, float]]) -> Iterator[Wait]:
    """Waits for storage in each second: how many, and how long together."""
    for second in range(LENGTH):
        count, wait_s = seconds(second)
        if count:
            yield Wait(
                START + second * SECOND + 6,
                pid=pid,
                comm=comm,
                waker_pid=0,
                waker_context="softirq",
                waits_in=call,
                state="uninterruptible",
                count=count,
                wait_ns=int(wait_s * SECOND),
                runqueue_ns=0,
                cgroup_id=1,
            )


def moved(pid: int, comm: str, *, read: float = 0, written: float = 0, since: int = 0) -> Iterator[Process]:
    """A process that reads and writes so many bytes a second from a second on."""
    for second in range(LENGTH):
        for_s = max(0, second - since)
        yield Process(
            START + second * SECOND + 7,
            pid=pid,
            ppid=1,
            comm=comm,
            start_ticks=1,
            read_bytes=int(read * for_s),
            write_bytes=int(written * for_s),
            cancelled_write_bytes=0,
            write_chars=int(written * for_s),
        )


def hangs(pid: int, comm: str, *, since: int, **where: str) -> Iterator[BlockedTask]:
    """A task that does not come back."""
    for second in range(since + 1, LENGTH + 1):
        yield BlockedTask(
            START + second * SECOND + 8, pid=pid, tid=pid, comm=comm, blocked_ms=1000.0 * (second - since), **where
        )
