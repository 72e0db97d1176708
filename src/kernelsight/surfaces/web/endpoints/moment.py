"""The processes of a second: what a spike in a chart is made of."""

from __future__ import annotations

from typing import Annotated

import msgspec

from kernelsight.events.declare import kind_of
from kernelsight.events.fields import name_of
from kernelsight.events.process import Process
from kernelsight.printable import printable
from kernelsight.query.dialect import run
from kernelsight.query.points import Selection, points_sql
from kernelsight.query.source import clipped
from kernelsight.query.times import TimeRange, parse_time
from kernelsight.stores.base import Value
from kernelsight.surfaces.web.desk import Desk
from kernelsight.surfaces.web.endpoint import endpoint
from kernelsight.surfaces.web.headline import incident_path

_SECOND = 1_000_000_000
_AROUND_NS = 30 * _SECOND


class MomentAsked(msgspec.Struct, kw_only=True, forbid_unknown_fields=True):
    """Which moment."""

    at: Annotated[str, msgspec.Meta(description="The moment, such as 14:05:03.", max_length=64)]
    most: Annotated[int, msgspec.Meta(description="At most so many processes.", ge=1, le=500)] = 15


class ProcessThen(msgspec.Struct, kw_only=True):
    """What a process did; null where that is not known."""

    pid: int
    comm: str
    cpu_percent: float | None
    """100: one CPU."""
    rss_bytes: float | None
    read_bytes_per_s: float | None
    write_bytes_per_s: float | None
    cpu_wait_percent: float | None
    """Of the time, ready to run and waiting for a CPU; of all its threads together."""
    io_wait_percent: float | None
    """Waiting for block I/O, likewise."""


class Moment(msgspec.Struct, kw_only=True):
    """The processes that have rows about a moment, those with the most CPU time first."""

    at_ns: int
    processes: list[ProcessThen]
    left_out: int
    path: str
    """The page with the diagnosis of the minute about it."""


@endpoint("/api/moment")
def moment(desk: Desk, asked: MomentAsked) -> Moment:
    """List the processes of a second."""
    at_ns = parse_time(asked.at)
    kind = kind_of(Process)
    measured = (
        Process.utime_ms, Process.stime_ms, Process.rss_kb, Process.read_bytes, Process.write_bytes,
        Process.cpu_delay_ns, Process.blkio_delay_ns,
    )  # fmt: skip
    rows: list[dict[str, Value]] = []
    with desk.reader() as reader:
        when = clipped(reader, kind.table, TimeRange(max(0, at_ns - _SECOND), at_ns + _SECOND))
        if when is not None:
            labels = (name_of(Process.comm),)
            rows = run(reader, points_sql(reader, Selection(kind, tuple(map(name_of, measured)), when, keep=labels)))
    nearest = sorted(rows, key=lambda row: abs(_whole(row[name_of(Process.timestamp)]) - at_ns))
    by_pid: dict[Value, dict[str, Value]] = {}
    for row in nearest:
        by_pid.setdefault(row[name_of(Process.pid)], row)
    processes = sorted(map(_process, by_pid.values()), key=lambda one: (-(one.cpu_percent or 0), -(one.rss_bytes or 0)))
    return Moment(
        at_ns=at_ns,
        processes=processes[: asked.most],
        left_out=max(0, len(processes) - asked.most),
        path=incident_path(max(0, at_ns - _AROUND_NS), at_ns + _AROUND_NS),
    )


def _whole(value: Value) -> int:
    return value if isinstance(value, int) else 0


def _process(row: dict[str, Value]) -> ProcessThen:
    def number(name: str, scale: float) -> float | None:
        value = row[name]
        return value * scale if isinstance(value, (int, float)) else None

    times = [time for name in (name_of(Process.utime_ms), name_of(Process.stime_ms))
             if (time := number(name, 0.1)) is not None]  # fmt: skip
    return ProcessThen(
        pid=_whole(row[name_of(Process.pid)]),
        comm=printable(str(row[name_of(Process.comm)] or "?")),
        cpu_percent=sum(times) if times else None,
        rss_bytes=number(name_of(Process.rss_kb), 1024.0),
        read_bytes_per_s=number(name_of(Process.read_bytes), 1.0),
        write_bytes_per_s=number(name_of(Process.write_bytes), 1.0),
        cpu_wait_percent=number(name_of(Process.cpu_delay_ns), 1e-7),
        io_wait_percent=number(name_of(Process.blkio_delay_ns), 1e-7),
    )
