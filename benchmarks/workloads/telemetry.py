"""Telemetry of any length, out of a recorded case of the fault bench and of processes beside it."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from itertools import groupby
from pathlib import Path
from typing import Any

import msgspec
from benchmarks.faultbench.recording import read

from kernelsight.events.declare import Counter, Event
from kernelsight.events.process import Process
from kernelsight.events.scheduler import SchedProcess
from kernelsight.events.wire import decoder, kinds

SECOND = 1_000_000_000


def looped(case: Path, begins_s: int, seconds: int) -> Iterator[list[Event]]:
    """A case again and again, second by second from one on (since the epoch); its counters go on from loop to loop."""
    events = sorted(decoder().decode_lines(read(case)), key=lambda one: one.timestamp)
    by_second = [list(group) for _, group in groupby(events, key=lambda one: one.timestamp // SECOND)]
    grown = _grown(events)
    for number in range(seconds):
        loops, place = divmod(number, len(by_second))
        shift = (begins_s + number - by_second[place][0].timestamp // SECOND) * SECOND
        yield [
            msgspec.structs.replace(
                one, timestamp=one.timestamp + shift, **_on(one, loops, grown.get(_entity(one), {}))
            )
            for one in by_second[place]
        ]


def crowd(at: int, number: int, processes: int) -> Iterator[Event]:
    """So many processes that all do a little, in one second."""
    for pid in range(100_000, 100_000 + processes):
        yield Process(
            at, pid=pid, start_ticks=1, comm=f"p{pid}", utime_ms=3 * number, stime_ms=number, minor_faults=40 * number,
            rss_kb=20_000 + number, fds=20, fd_limit=1024, cpu_delay_ns=900_000 * number, blkio_delay_ns=number,
            read_bytes=4096 * number, write_bytes=4096 * number,
        )  # fmt: skip
        yield SchedProcess(at, pid=pid, comm=f"p{pid}", cpu_time_ms=4.0, runqueue_ms=0.9, context_switches=20)


def _entity(one: Event) -> tuple[Any, ...]:
    kind = kinds()[str(one.__struct_config__.tag)]
    return kind.name, *(getattr(one, column) for column in kind.entity)


def _grown(events: list[Event]) -> Mapping[tuple[Any, ...], Mapping[str, int]]:
    """By entity, how much each of its counters grew within the case."""
    first: dict[tuple[Any, ...], Event] = {}
    found: dict[tuple[Any, ...], dict[str, int]] = {}
    for one in events:
        entity = _entity(one)
        begun = first.setdefault(entity, one)
        for column in kinds()[entity[0]].columns:
            before, now = getattr(begun, column.name), getattr(one, column.name)
            if isinstance(column.semantics, Counter) and before is not None and now is not None:
                found.setdefault(entity, {})[column.name] = max(now - before, 0)
    return found


def _on(one: Event, loops: int, grown: Mapping[tuple[Any, ...], Mapping[str, int]]) -> dict[str, int]:
    """The counters of an event after so many loops."""
    more = grown.get(_entity(one), {})
    return {name: getattr(one, name) + loops * of for name, of in more.items() if getattr(one, name) is not None}
