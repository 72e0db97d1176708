"""How the machine was in each second of a minute: what trouble is set against."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field

from kernelsight.events.block import Block
from kernelsight.events.declare import Event, kind_of
from kernelsight.events.memory import Memory, Vmstat
from kernelsight.events.pressure import Pressure
from kernelsight.events.process import Process
from kernelsight.events.scheduler import Cpu, Load, SchedProcess
from kernelsight.query.dialect import dialect_of, run
from kernelsight.query.filters import Condition
from kernelsight.query.points import Selection, points_sql
from kernelsight.query.rows import Row
from kernelsight.query.times import TimeRange
from kernelsight.signals.model import SECOND_NS
from kernelsight.stores.base import Reader

SOURCES: tuple[type[Event], ...] = (Block, Memory, Vmstat, Pressure, Process, Cpu, Load, SchedProcess)
_AWAY_NS = 15 * SECOND_NS
"""A rate over more than this says nothing of one second."""
_BUSY = ("user", "nice", "system", "irq", "softirq", "steal")
_IDLE = ("idle", "iowait")
_RAN = ("utime_ms", "stime_ms")
_MOVED = ("read_bytes", "write_bytes", "children_read_bytes", "children_write_bytes")
_MOST = 8
"""Processes that are remembered of a second."""


@dataclass(frozen=True, slots=True)
class Use:
    """What one process took of something within a second."""

    pid: int
    comm: str
    amount: float


@dataclass(slots=True)
class Second:
    """One second; a level that was not sampled is missing."""

    levels: dict[str, float] = field(default_factory=dict)
    """Columns of ``coincidences`` → value."""
    stalls: dict[str, float] = field(default_factory=dict)
    """Resource → per cent of the second in which some task stalled for it."""
    busiest: str | None = None
    """Block device."""
    runners: list[Use] = field(default_factory=list)
    """CPU time, ms."""
    writers: list[Use] = field(default_factory=list)
    """Bytes read and written."""


def seconds(reader: Reader, start_ns: int, end_ns: int) -> dict[int, Second]:
    """Each second (since the epoch) of a range of whole ones.

    A sample speaks of the second before it, so those of the second after the range are read too.
    """
    when = TimeRange(start_ns + SECOND_NS, end_ns + SECOND_NS - 1)
    found = {second: Second() for second in range(start_ns // SECOND_NS, end_ns // SECOND_NS)}
    for second, row in _points(reader, Cpu, (*_BUSY, *_IDLE, "procs_running", "procs_blocked"), when, ("cpu", -1)):
        _set_cpu(found[second].levels, row)
    for second, row in _points(reader, Pressure, ("some_total_us",), when, ("scope", "system")):
        if (stalled_us := _number(row["some_total_us"])) is not None:
            found[second].stalls[str(row["resource"])] = stalled_us / 1e4
    for second, row in _points(reader, Load, ("load_1min",), when):
        _set(found[second].levels, "load_1min", row["load_1min"])
    for second, row in _points(reader, Memory, ("mem_available_kb", "dirty_kb", "writeback_kb"), when):
        _set(found[second].levels, "mem_available_kb", row["mem_available_kb"])
        _set(found[second].levels, "dirty_kb", _sum(row, ("dirty_kb", "writeback_kb")))
    refaults = ("workingset_refault_anon", "workingset_refault_file")
    for second, row in _points(reader, Vmstat, refaults, when):
        _set(found[second].levels, "refaults", _sum(row, refaults))
    for second, row in _points(reader, Block, ("io_ticks",), when):
        _set_busiest(found[second], row)
    for one in found.values():
        for resource in one.stalls.keys() & {"cpu", "memory", "io"}:
            one.levels[f"{resource}_pressure_pct"] = one.stalls[resource]
    _set_processes(reader, found, when)
    return found


def _set_cpu(levels: dict[str, float], row: Row) -> None:
    busy, idle = _sum(row, _BUSY), _sum(row, _IDLE)
    if busy is not None and idle is not None and busy + idle > 0:
        levels["cpu_busy_pct"] = 100 * busy / (busy + idle)
    _set(levels, "runnable", row["procs_running"])
    _set(levels, "blocked", row["procs_blocked"])


def _set_busiest(second: Second, row: Row) -> None:
    busy_ms = _number(row["io_ticks"])
    if busy_ms is not None and busy_ms / 10 > second.levels.get("block_busy_pct", -1.0):
        second.levels["block_busy_pct"] = min(100.0, busy_ms / 10)
        second.busiest = str(row["device_name"])


def _set_processes(reader: Reader, found: dict[int, Second], when: TimeRange) -> None:
    """Who used the CPUs (as the scheduler says, or as samples do where it doesn't) and who moved bytes."""
    for second, use in _most(reader, SchedProcess, ("cpu_time_ms",), when) or _most(reader, Process, _RAN, when):
        found[second].runners.append(use)
    for second, use in _most(reader, Process, _MOVED, when):
        found[second].writers.append(use)


def _most(reader: Reader, struct: type[Event], summed: Sequence[str], when: TimeRange) -> list[tuple[int, Use]]:
    """The processes of each second that have most of the sum of some metrics, greatest first."""
    selection = Selection(kind_of(struct), tuple(summed), when, keep=("comm",))
    points = points_sql(reader, selection, _AWAY_NS)
    second = dialect_of(reader).int_div("timestamp", str(SECOND_NS))
    amount = " + ".join(f"coalesce({name}, 0)" for name in summed)
    text = (
        f"SELECT second, pid, comm, amount FROM (SELECT *, row_number() OVER"  # noqa: S608 - declared names
        f" (PARTITION BY second ORDER BY amount DESC, pid) AS place"
        f" FROM (SELECT {second} AS second, pid, comm, {amount} AS amount FROM ({points.text}) AS points) AS amounts"
        f" WHERE amount > 0) AS ranked WHERE place <= {_MOST} ORDER BY second, place"
    )
    return [
        (int(at) - 1, Use(int(pid or 0), str(comm or ""), float(most)))  # type: ignore[arg-type]
        for at, pid, comm, most in reader.tuples(text, points.params)
    ]


def _points(
    reader: Reader,
    struct: type[Event],
    metrics: Sequence[str],
    when: TimeRange,
    only: tuple[str, str | int] | None = None,
) -> list[tuple[int, Row]]:
    """Values of a kind, counters as rates, each with the second of which it speaks."""
    kind = kind_of(struct)
    conditions = () if only is None else (Condition(only[0], "=", only[1]),)
    selection = Selection(kind, tuple(metrics), when, conditions)
    found = run(reader, points_sql(reader, selection, _AWAY_NS))
    return [(_stamp(row) // SECOND_NS - 1, row) for row in found]


def _stamp(row: Row) -> int:
    stamp = row["timestamp"]
    assert isinstance(stamp, int)
    return stamp


def _number(value: object) -> float | None:
    return float(value) if isinstance(value, (int, float)) else None


def _sum(row: Row, names: Iterable[str]) -> float | None:
    values = [value for name in names if (value := _number(row[name])) is not None]
    return sum(values) if values else None


def _set(levels: dict[str, float], name: str, value: object) -> None:
    if (number := _number(value)) is not None:
        levels[name] = number
