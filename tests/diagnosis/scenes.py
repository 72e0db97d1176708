"""Small stores in which it is known what happens."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from pathlib import Path

import msgspec

from kernelsight.events.declare import Event
from kernelsight.events.scheduler import Cpu, SchedProcess
from kernelsight.stores.base import Batch, open_writer

SECOND = 1_000_000_000
START = 1_790_000_000 * SECOND
LENGTH = 30
END = START + LENGTH * SECOND
FROM = 10
"""The second in which it begins."""


def stored(path: Path, events: Iterable[Event]) -> str:
    """A store with these events; its path."""
    batch = Batch()
    for one in events:
        batch.events.setdefault(type(one), []).append(msgspec.structs.astuple(one))
    writer = open_writer(str(path))
    assert not writer.write(batch)
    writer.close()
    return str(path)


def used(
    pid: int, comm: str, ran_ms: float, queued_ms: float, *, group: int = 1, since: int = 0, slept: int = 0
) -> Iterator[Event]:
    """What a process did in every second from one on."""
    for second in range(since, LENGTH):
        yield SchedProcess(
            START + second * SECOND + 7, pid=pid, comm=comm, cpu_time_ms=ran_ms, runqueue_ms=queued_ms, cgroup_id=group,
            voluntary_switches=slept, involuntary_switches=0 if slept else int(queued_ms / 4),
        )  # fmt: skip


def cpus(count: int) -> Iterator[Event]:
    """The rows by which the CPUs of a machine are counted."""
    for cpu in range(-1, count):
        yield Cpu(START + 1, cpu=cpu, user=1, system=1, idle=1)
