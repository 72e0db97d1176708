"""How the machine was in each second of a minute: what trouble is set against."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import TypeVar

from kernelsight.events.block import Block
from kernelsight.events.coincidence import Coincidence
from kernelsight.events.declare import Event, kind_of
from kernelsight.events.fields import Metric, name_of
from kernelsight.events.memory import Memory, Vmstat
from kernelsight.events.pressure import Pressure
from kernelsight.events.process import Process
from kernelsight.events.scheduler import Cpu, Load, SchedProcess
from kernelsight.query.filters import Filter
from kernelsight.query.points import RowOfPoints, Selection, points_of, points_sql
from kernelsight.query.times import TimeRange
from kernelsight.signals.model import SECOND_NS
from kernelsight.stores.base import Reader

SOURCES: tuple[type[Event], ...] = (Block, Memory, Vmstat, Pressure, Process, Cpu, Load, SchedProcess)
_AWAY_NS = 15 * SECOND_NS
"""A rate over more than this says nothing of one second."""
_BUSY = (Cpu.user, Cpu.nice, Cpu.system, Cpu.irq, Cpu.softirq, Cpu.steal)
_IDLE = (Cpu.idle, Cpu.iowait)
_REFAULTS = (Vmstat.workingset_refault_anon, Vmstat.workingset_refault_file)
_DIRTY = (Memory.dirty_kb, Memory.writeback_kb)
_RAN = (Process.utime_ms, Process.stime_ms)
_MOVED = (Process.read_bytes, Process.write_bytes, Process.children_read_bytes, Process.children_write_bytes)
_PRESSURES = {
    "cpu": Coincidence.cpu_pressure_pct,
    "memory": Coincidence.memory_pressure_pct,
    "io": Coincidence.io_pressure_pct,
}
_MOST = 8
"""Processes that are remembered of a second."""

E = TypeVar("E", bound=Event)
Levels = dict[Metric[Coincidence], float]


@dataclass(frozen=True, slots=True)
class Use:
    """What one process took of something within a second."""

    pid: int
    comm: str
    amount: float


@dataclass(slots=True)
class Second:
    """One second; a level that was not sampled is missing."""

    levels: Levels = field(default_factory=dict)
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
    by_second = {second: Second() for second in range(start_ns // SECOND_NS, end_ns // SECOND_NS)}
    whole = [Filter(Cpu.cpu, "=", -1)]
    for second, cpu in _points(reader, Cpu, (*_BUSY, *_IDLE, Cpu.procs_running, Cpu.procs_blocked), when, whole):
        _set_cpu(by_second[second].levels, cpu)
    system = [Filter(Pressure.scope, "=", "system")]
    for second, pressure in _points(reader, Pressure, (Pressure.some_total_us,), when, system):
        if (stalled_us := pressure.of(Pressure.some_total_us)) is not None:
            by_second[second].stalls[str(pressure.label(Pressure.resource))] = stalled_us / 1e4
    for second, load in _points(reader, Load, (Load.load_1min,), when):
        _set(by_second[second].levels, Coincidence.load_1min, load.of(Load.load_1min))
    for second, memory in _points(reader, Memory, (Memory.mem_available_kb, *_DIRTY), when):
        _set(by_second[second].levels, Coincidence.mem_available_kb, memory.of(Memory.mem_available_kb))
        _set(by_second[second].levels, Coincidence.dirty_kb, _sum(memory, _DIRTY))
    for second, vmstat in _points(reader, Vmstat, _REFAULTS, when):
        _set(by_second[second].levels, Coincidence.refaults, _sum(vmstat, _REFAULTS))
    for second, block in _points(reader, Block, (Block.io_ticks,), when):
        _set_busiest(by_second[second], block)
    for state in by_second.values():
        for resource in state.stalls.keys() & _PRESSURES.keys():
            state.levels[_PRESSURES[resource]] = state.stalls[resource]
    _set_processes(reader, by_second, when)
    return by_second


def _set_cpu(levels: Levels, cpu: RowOfPoints[Cpu]) -> None:
    busy, idle = _sum(cpu, _BUSY), _sum(cpu, _IDLE)
    if busy is not None and idle is not None and busy + idle > 0:
        levels[Coincidence.cpu_busy_pct] = 100 * busy / (busy + idle)
    _set(levels, Coincidence.runnable, cpu.of(Cpu.procs_running))
    _set(levels, Coincidence.blocked, cpu.of(Cpu.procs_blocked))


def _set_busiest(second: Second, block: RowOfPoints[Block]) -> None:
    busy_ms = block.of(Block.io_ticks)
    if busy_ms is not None and busy_ms / 10 > second.levels.get(Coincidence.block_busy_pct, -1.0):
        second.levels[Coincidence.block_busy_pct] = min(100.0, busy_ms / 10)
        second.busiest = str(block.label(Block.device_name))


def _set_processes(reader: Reader, by_second: dict[int, Second], when: TimeRange) -> None:
    """Who used the CPUs (as the scheduler says, or as samples do where it doesn't) and who moved bytes."""
    for second, use in _most(reader, SchedProcess, (SchedProcess.cpu_time_ms,), when) or _most(
        reader, Process, _RAN, when
    ):
        by_second[second].runners.append(use)
    for second, use in _most(reader, Process, _MOVED, when):
        by_second[second].writers.append(use)


def _most(reader: Reader, struct: type[E], summed: Sequence[Metric[E]], when: TimeRange) -> list[tuple[int, Use]]:
    """The processes of each second that have most of the sum of some metrics, greatest first."""
    names, pid, comm = tuple(map(name_of, summed)), name_of(Process.pid), name_of(Process.comm)
    selection = Selection(kind_of(struct), names, when, keep=(comm,))
    points = points_sql(reader, selection, _AWAY_NS)
    second = reader.dialect.int_div("timestamp", str(SECOND_NS))
    amount = " + ".join(f"coalesce({name}, 0)" for name in names)
    text = (
        f"SELECT second, {pid}, {comm}, amount FROM (SELECT *, row_number() OVER"  # noqa: S608 - declared names
        f" (PARTITION BY second ORDER BY amount DESC, {pid}) AS place"
        f" FROM (SELECT {second} AS second, {pid}, {comm}, {amount} AS amount FROM ({points.text}) AS points)"
        f" AS amounts WHERE amount > 0) AS ranked WHERE place <= {_MOST} ORDER BY second, place"
    )
    return [
        (int(at) - 1, Use(int(who or 0), str(name or ""), float(most)))  # type: ignore[arg-type]
        for at, who, name, most in reader.tuples(text, points.params)
    ]


def _points(
    reader: Reader, struct: type[E], metrics: Sequence[Metric[E]], when: TimeRange, only: Sequence[Filter[E]] = ()
) -> list[tuple[int, RowOfPoints[E]]]:
    """Values of a kind, counters as rates, each with the second of which it speaks."""
    points = points_of(reader, struct, metrics, when, only=only, gap_ns=_AWAY_NS)
    return [(row.timestamp // SECOND_NS - 1, row) for row in points]


def _sum(row: RowOfPoints[E], metrics: Sequence[Metric[E]]) -> float | None:
    values = [value for metric in metrics if (value := row.of(metric)) is not None]
    return sum(values) if values else None


def _set(levels: Levels, metric: Metric[Coincidence], value: float | None) -> None:
    if value is not None:
        levels[metric] = value
