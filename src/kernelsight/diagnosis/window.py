"""What is known of a window: rows by kind, read once, and the values and evidence that come from them."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from itertools import pairwise
from typing import Any, TypeVar

from kernelsight.diagnosis.measure import measured, needed
from kernelsight.diagnosis.model import Evidence, How
from kernelsight.diagnosis.own import REPORTS_BACK_NS, of_others, own_pids
from kernelsight.diagnosis.passes import without_first_pass
from kernelsight.diagnosis.samples import NS_PER_S, CounterDelta, Samples, counters, ordered
from kernelsight.events.collector import CollectorReport
from kernelsight.events.declare import Event, kind_of
from kernelsight.events.deltas import REACH
from kernelsight.events.fields import Field, Metric, entity_of, getter, name_of, row_getter
from kernelsight.events.memory import Memory
from kernelsight.events.process import Process
from kernelsight.events.scheduler import Cpu, Wait
from kernelsight.query.clock_steps import Step, clock_steps
from kernelsight.query.stored import moment, row_id, stored_rows
from kernelsight.query.times import TimeRange
from kernelsight.stores.base import Reader

__all__ = [
    "NS_PER_S", "CounterDelta", "Interval", "Window", "grouped", "grouped_by", "moment", "runs",
    "samples_of",
]  # fmt: skip

T = TypeVar("T")
E = TypeVar("E", bound=Event)
K = TypeVar("K")
Key = tuple[Any, ...]
"""Values of the columns that tell one entity of a kind from another."""

_MOST_CITED = 120
"""Rows cited for a number that some of them show as well as all: the first, the last, and some between."""
_MACHINE: tuple[type[Event], ...] = (Cpu, Memory)
"""Kinds that have a row in every second in which anything is collected."""
_UNKNOWN_S = 30.0
"""A collector that is starved is late by seconds; where there is nothing for longer, it did not run or the clock was
set."""
_MOST_SUMMED = 3600
"""Rows cited for a number that needs all of them: what is said of a longer time is said of the latest part of it."""


@dataclass(frozen=True, slots=True)
class Interval:
    """A stretch of seconds in which something held."""

    first: int
    last: int
    """Seconds since the window's start, both included."""

    @property
    def seconds(self) -> int:
        """How many."""
        return self.last - self.first + 1

    @property
    def before(self) -> Interval:
        """The seconds of the window before it, without the one in which it began."""
        return Interval(0, self.first - 2)

    def __contains__(self, second: int) -> bool:
        return self.first <= second <= self.last

    def overlaps(self, other: Interval) -> bool:
        """Whether the two have a second in common."""
        return self.first <= other.last and other.first <= self.last

    def total(self, amounts: Mapping[int, float]) -> float:
        """Sum of amounts by second, of those that lie within it."""
        return sum(amount for second, amount in amounts.items() if second in self)


class _SecondOf(dict[int, int]):
    """The second of a window by the stamp: samples of many entities have few."""

    _MOST = 100_000

    def __init__(self, begin_ns: int) -> None:
        super().__init__()
        self._begin_ns = begin_ns

    def __missing__(self, at_ns: int) -> int:
        if len(self) >= self._MOST:
            self.clear()
        self[at_ns] = second = int((at_ns - self._begin_ns) // NS_PER_S)
        return second


@dataclass
class Window:
    """A window of a store, read when asked for and kept."""

    reader: Reader
    when: TimeRange
    # Freed in this order. Rows go last, as they lie in memory: freed process by process, they take four times as long.
    _derived: dict[Callable[[Window], Any], Any] = field(default_factory=dict)
    _deltas: dict[str, dict[Key, list[CounterDelta[Any]]]] = field(default_factory=dict)
    _samples: dict[str, dict[Key, Samples[Any]]] = field(default_factory=dict)
    _series: dict[str, dict[Key, list[Any]]] = field(default_factory=dict)
    _rows: dict[str, list[Any]] = field(default_factory=dict)
    _all: dict[str, list[Any]] = field(default_factory=dict)

    def once(self, derive: Callable[[Window], T]) -> T:
        """What a function makes of this window: made when first asked for, and kept for whoever asks next."""
        if derive not in self._derived:
            self._derived[derive] = derive(self)
        made: T = self._derived[derive]
        return made

    @property
    def read(self) -> frozenset[str]:
        """The kinds that somebody has asked for."""
        return frozenset(self._rows)

    def rows(self, kind: type[E]) -> Sequence[E]:
        """All rows of a kind within the window, by time, but for those that are about our own processes.

        They are not validated: a value that some other program has stored may be of another type than is declared.
        """
        declared = kind_of(kind)
        if declared.name not in self._rows:
            self._rows[declared.name] = of_others(declared, self._recorded(declared.struct), self.own)
        return self._rows[declared.name]

    def _recorded(self, kind: type[E]) -> list[E]:
        """All rows of a kind within the window, by time."""
        name = kind_of(kind).name
        if name not in self._all:
            self._all[name] = stored_rows(self.reader, kind, self.when)
        return self._all[name]

    @cached_property
    def own(self) -> frozenset[int]:
        """Pids of our own processes."""
        lately = TimeRange(max(0, self.when.start_ns - REPORTS_BACK_NS), self.when.end_ns)
        reports = stored_rows(self.reader, CollectorReport, lately)
        return own_pids(reports, self._recorded(Process), self._recorded(Wait)) if reports else frozenset()

    def series(self, kind: type[E]) -> Mapping[Key, Sequence[E]]:
        """The rows of each entity of a kind, by time; of a time that the clock showed twice, those of the second."""
        declared = kind_of(kind)
        if declared.name not in self._series:
            rows = without_first_pass(self.rows(declared.struct), self.clock_steps)
            self._series[declared.name] = grouped(rows, *entity_of(declared))
        return self._series[declared.name]

    def samples(self, kind: type[E]) -> Mapping[Key, Samples[E]]:
        """The samples of each entity of a kind, in the order in which they were taken."""
        declared = kind_of(kind)
        if declared.name not in self._samples:
            entity = entity_of(declared)
            series = grouped(self.rows(kind), *entity)
            before = grouped(self._just_before(kind), *entity)
            rows = ordered(([*before.get(key, ()), *found] for key, found in series.items()), counters(declared))
            self._samples[declared.name] = {
                key: Samples(found, min(len(before.get(key, ())), len(found)), self.clock_steps)
                for key, found in zip(series, rows, strict=True)
            }
        return self._samples[declared.name]

    @cached_property
    def clock_steps(self) -> list[Step]:
        """When the clock was set within the window."""
        return clock_steps(self.reader, self.when)

    def _just_before(self, kind: type[E]) -> list[E]:
        """The rows before the window that tell what the first ones within it are."""
        reach_ns = int(REACH * (kind_of(kind).interval_s or 1.0) * NS_PER_S)
        start_ns = self.when.start_ns
        return stored_rows(self.reader, kind, TimeRange(max(0, start_ns - reach_ns), max(0, start_ns - 1)))

    def deltas(self, kind: type[E]) -> Mapping[Key, Sequence[CounterDelta[E]]]:
        """What the counters of each entity of a kind did between its samples, in the order in which they were taken.

        Where nothing at all was recorded between two samples for :data:`_UNKNOWN_S`, how long that was is not known:
        the clock may have been set. There is no delta over such a time.
        """
        name = kind_of(kind).name
        if name not in self._deltas:
            gaps = self._gaps
            self._deltas[name] = {
                key: [delta for delta in samples.deltas() if not (gaps and _spans(delta, gaps))]
                for key, samples in self.samples(kind).items()
            }
        return self._deltas[name]

    @cached_property
    def begin_ns(self) -> int:
        """The whole second in which the window begins: its seconds are those of the clock, wherever it lies."""
        return self.when.start_ns // NS_PER_S * NS_PER_S

    @cached_property
    def _gaps(self) -> list[tuple[int, int]]:
        """Stamps between which the machine has no row for long."""
        stamps = sorted({moment(row) for kind in _MACHINE for row in self.rows(kind)})
        return [(a, b) for a, b in pairwise(stamps) if b - a > _UNKNOWN_S * NS_PER_S]

    def second(self, row: Event) -> int:
        """In which second of the window a row lies."""
        return self.second_at(row.timestamp)

    def second_at(self, at_ns: int) -> int:
        """In which second of the window a moment lies (ns since the epoch)."""
        return int((at_ns - self.begin_ns) // NS_PER_S)

    def seconds(self, rows: Iterable[Event]) -> list[int]:
        """In which second of the window each of many rows lies."""
        return list(map(self._second_of.__getitem__, map(moment, rows)))

    @cached_property
    def _second_of(self) -> _SecondOf:
        return _SecondOf(self.begin_ns)

    def at(self, second: int) -> int:
        """The beginning of a second (ns since the epoch)."""
        return self.begin_ns + second * NS_PER_S

    def per_second(self, rows: Iterable[E], value: Metric[E] | Callable[[E], float | None]) -> dict[int, float]:
        """Sum of a column (or of a function of the row) by second; a NULL is nothing."""
        value_of: Callable[[E], float | None] = value if callable(value) else getter(value)
        found: dict[int, float] = {}
        rows = list(rows)
        for second, amount in zip(self.seconds(rows), map(value_of, rows), strict=True):
            if amount is not None:
                found[second] = found.get(second, 0.0) + amount
        return found

    def within(self, rows: Iterable[E], run: Interval) -> list[E]:
        """The rows of a stretch of seconds."""
        start, end = self.at(run.first), self.at(run.last + 1)
        return [row for row in rows if start <= row.timestamp < end]

    def during(self, deltas: Iterable[CounterDelta[E]], run: Interval) -> list[CounterDelta[E]]:
        """The deltas that end within a stretch of seconds."""
        start, end = self.at(run.first), self.at(run.last + 1)
        return [delta for delta in deltas if start <= delta.after.timestamp < end]

    def evidence(self, rows: Sequence[E], metric: Metric[E], how: How) -> Evidence | None:
        """A number out of rows, citing them; None where there is no value in them.

        Args:
            rows: those of one kind that the claim is about; of very many, enough to show it are cited.
            metric: the column, such as `Process.rss_kb`.
            how: what becomes of its values.
        """
        if not rows:
            return None
        if how == "increase":
            samples, entity = self.samples(type(rows[0])), row_getter(*entity_of(kind_of(type(rows[0]))))
            rows = [row for row in rows if row_id(row) not in _glitches(samples.get(entity(row)), metric)]
        known = _enough(rows, metric, how)
        if not known:
            return None
        return Evidence(
            table=kind_of(type(rows[0])).table,
            start_ns=min(map(moment, known)),
            end_ns=max(map(moment, known)),
            metric=name_of(metric),
            how=how,
            value=measured(how, metric, known),
            row_ids=tuple(map(row_id, known)),
        )

    @cached_property
    def cpus(self) -> int:
        """CPUs of the machine, by the rows that they have; at least one."""
        return max(len({row.cpu for row in self.rows(Cpu) if (row.cpu or 0) >= 0} - {None, -1}), 1)

    @cached_property
    def unseen(self) -> tuple[str, ...]:
        """Collectors that do not run, or leave columns empty, and why, from their own reports."""
        last = {row.name: row for row in self.rows(CollectorReport)}
        silent = [
            f"{name}{', in part' if row.status == 'running' else ''}: {row.reason or row.status}"
            for name, row in sorted(last.items(), key=lambda item: str(item[0]))
            if row.status != "running" or row.reason
        ]
        return tuple(silent)


def samples_of(deltas: Sequence[CounterDelta[E]]) -> list[E]:
    """The rows that consecutive deltas lie between, from which an increase can be computed."""
    return [deltas[0].before, *(delta.after for delta in deltas)] if deltas else []


def grouped(rows: Iterable[E], *columns: Field[E, Any]) -> dict[Key, list[E]]:
    """Rows by the values of columns, in their order."""
    if len(columns) == 1:
        return {(value,): found for value, found in grouped_by(rows, getter(columns[0])).items()}
    return grouped_by(rows, row_getter(*columns))


def grouped_by(rows: Iterable[E], key: Callable[[E], K]) -> dict[K, list[E]]:
    """Rows by what a function says of each, in their order."""
    groups: defaultdict[K, list[E]] = defaultdict(list)
    for row in rows:
        groups[key(row)].append(row)
    return dict(groups)


def runs(
    values: Mapping[int, float], holds: Callable[[float], bool], *, least: int = 3, gap: int = 1
) -> list[Interval]:
    """The stretches of at least ``least`` seconds in which values hold, over gaps of up to ``gap`` seconds."""
    seconds = sorted(second for second, value in values.items() if holds(value))
    found: list[Interval] = []
    for second in seconds:
        if found and second - found[-1].last <= gap + 1:
            found[-1] = Interval(found[-1].first, second)
        else:
            found.append(Interval(second, second))
    return [run for run in found if run.seconds >= least]


def _enough(rows: Iterable[E], metric: Metric[E], how: How) -> list[E]:
    """The rows that have a value, by time, thinned where that changes nothing: a counter's increase is in its ends."""
    value_of = getter(metric)
    known = sorted((row for row in rows if value_of(row) is not None), key=moment)
    if how in {"sum", "count", "mean"}:
        return known[-_MOST_SUMMED:]
    if len(known) <= _MOST_CITED:
        return known
    chosen = {round(i * (len(known) - 1) / (_MOST_CITED - 1)) for i in range(_MOST_CITED)}
    if how in {"max", "min"}:
        choose = max if how == "max" else min
        chosen.add(choose(range(len(known)), key=lambda i: value_of(known[i]) or 0.0))
    if how == "increase":
        return needed(metric, known, chosen)
    return [known[i] for i in sorted(chosen)]


def _glitches(samples: Samples[E] | None, metric: Metric[E]) -> frozenset[int]:
    return samples.glitches(metric) if samples is not None else frozenset()


def _spans(delta: CounterDelta[Any], gaps: Sequence[tuple[int, int]]) -> bool:
    start, end = moment(delta.before), moment(delta.after)
    return delta.seconds > _UNKNOWN_S and any(start <= a and b <= end for a, b in gaps)
