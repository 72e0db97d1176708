"""What is known of a window: rows by kind, read once, and the values and evidence that come from them."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from itertools import pairwise
from typing import Any, TypeVar

from kernelsight.diagnosis.measure import measured, needed
from kernelsight.diagnosis.model import Evidence, How
from kernelsight.diagnosis.own import REPORTS_BACK_NS, of_others, own_pids
from kernelsight.diagnosis.samples import NS_PER_S, Change, Row, Samples, ordered
from kernelsight.events.declare import Kind
from kernelsight.events.deltas import REACH
from kernelsight.events.wire import kinds
from kernelsight.query.clock_steps import Step, clock_steps
from kernelsight.query.rows import rows_for_computing
from kernelsight.query.times import TimeRange
from kernelsight.stores.base import Reader

__all__ = ["NS_PER_S", "Change", "Row", "Run", "Scene", "grouped", "moment", "runs", "samples_of"]

T = TypeVar("T")

_MOST_CITED = 120
"""Rows cited for a number that some of them show as well as all: the first, the last, and some between."""
_MACHINE = ("cpu", "memory")
"""Kinds that have a row in every second in which anything is collected."""
_UNKNOWN_S = 30.0
"""A collector that is starved is late by seconds; where there is nothing for longer, it did not run or the clock was
set."""
_MOST_SUMMED = 3600
"""Rows cited for a number that needs all of them: what is said of a longer time is said of the latest part of it."""


@dataclass(frozen=True, slots=True)
class Run:
    """A stretch of seconds in which something held."""

    first: int
    last: int
    """Seconds since the window's start, both included."""

    @property
    def seconds(self) -> int:
        """How many."""
        return self.last - self.first + 1

    def __contains__(self, second: int) -> bool:
        return self.first <= second <= self.last

    def overlaps(self, other: Run) -> bool:
        """Whether the two have a second in common."""
        return self.first <= other.last and other.first <= self.last

    def total(self, amounts: Mapping[int, float]) -> float:
        """Sum of amounts by second, of those that lie within it."""
        return sum(amount for second, amount in amounts.items() if second in self)


@dataclass
class Scene:
    """A window of a store, read when asked for and kept."""

    reader: Reader
    when: TimeRange
    _all: dict[str, list[Row]] = field(default_factory=dict)
    _rows: dict[str, list[Row]] = field(default_factory=dict)
    _series: dict[str, dict[tuple[Any, ...], list[Row]]] = field(default_factory=dict)
    _samples: dict[str, dict[tuple[Any, ...], Samples]] = field(default_factory=dict)
    _changes: dict[str, dict[tuple[Any, ...], list[Change]]] = field(default_factory=dict)
    _derived: dict[Callable[[Scene], Any], Any] = field(default_factory=dict)

    def once(self, derive: Callable[[Scene], T]) -> T:
        """What a function makes of this scene: made when first asked for, and kept for whoever asks next."""
        if derive not in self._derived:
            self._derived[derive] = derive(self)
        made: T = self._derived[derive]
        return made

    @property
    def read(self) -> frozenset[str]:
        """The kinds that somebody has asked for."""
        return frozenset(self._rows)

    def rows(self, kind: str) -> Sequence[Row]:
        """All rows of a kind within the window, by time, but for those that are about our own processes."""
        if kind not in self._rows:
            self._rows[kind] = of_others(kind, self._recorded(kind), self.own)
        return self._rows[kind]

    def _recorded(self, kind: str) -> list[Row]:
        """All rows of a kind within the window, by time."""
        if kind not in self._all:
            self._all[kind] = [*rows_for_computing(self.reader, kinds()[kind], self.when)]
        return self._all[kind]

    @cached_property
    def own(self) -> frozenset[int]:
        """Pids of our own processes."""
        lately = TimeRange(max(0, self.when.start_ns - REPORTS_BACK_NS), self.when.end_ns)
        reports = rows_for_computing(self.reader, kinds()["collector"], lately)
        return own_pids(reports, self._recorded("process"), self._recorded("wait")) if reports else frozenset()

    def series(self, kind: str) -> Mapping[tuple[Any, ...], Sequence[Row]]:
        """The rows of each entity of a kind, by time."""
        if kind not in self._series:
            self._series[kind] = grouped(self.rows(kind), *kinds()[kind].entity)
        return self._series[kind]

    def samples(self, kind: str) -> Mapping[tuple[Any, ...], Samples]:
        """The samples of each entity of a kind, in the order in which they were taken."""
        if kind not in self._samples:
            declared = kinds()[kind]
            series = self.series(kind)
            before = grouped(self._just_before(declared), *declared.entity)
            rows = ordered(declared, ([*before.get(key, ()), *found] for key, found in series.items()))
            self._samples[kind] = {
                key: Samples(declared, found, min(len(before.get(key, ())), len(found)), self.clock_steps)
                for key, found in zip(series, rows, strict=True)
            }
        return self._samples[kind]

    @cached_property
    def clock_steps(self) -> list[Step]:
        """When the clock was set within the window."""
        return clock_steps(self.reader, self.when)

    def _just_before(self, kind: Kind) -> list[Row]:
        """The rows before the window that tell what the first ones within it are."""
        reach_ns = int(REACH * (kind.interval_s or 1.0) * NS_PER_S)
        start_ns = self.when.start_ns
        return [*rows_for_computing(self.reader, kind, TimeRange(max(0, start_ns - reach_ns), max(0, start_ns - 1)))]

    def changes(self, kind: str) -> Mapping[tuple[Any, ...], Sequence[Change]]:
        """Consecutive samples of each entity of a kind, in the order in which they were taken.

        Where nothing at all was recorded between two samples for :data:`_UNKNOWN_S`, how long that was is not known:
        the clock may have been set. There is no change over such a time.
        """
        if kind not in self._changes:
            gaps = self._gaps
            self._changes[kind] = {
                key: [change for change in samples.changes() if not (gaps and _spans(change, gaps))]
                for key, samples in self.samples(kind).items()
            }
        return self._changes[kind]

    @property
    def begin_ns(self) -> int:
        """The whole second in which the window begins: its seconds are those of the clock, wherever it lies."""
        return self.when.start_ns // NS_PER_S * NS_PER_S

    @cached_property
    def _gaps(self) -> list[tuple[int, int]]:
        """Stamps between which the machine has no row for long."""
        stamps = sorted({moment(row) for kind in _MACHINE for row in self.rows(kind)})
        return [(a, b) for a, b in pairwise(stamps) if b - a > _UNKNOWN_S * NS_PER_S]

    def second(self, row: Row) -> int:
        """In which second of the window a row lies."""
        return int((row["timestamp"] - self.begin_ns) // NS_PER_S)

    def at(self, second: int) -> int:
        """The beginning of a second (ns since the epoch)."""
        return self.begin_ns + second * NS_PER_S

    def per_second(self, rows: Iterable[Row], value: str | Callable[[Row], float]) -> dict[int, float]:
        """Sum of a column (or a function of the row) by second; a NULL is nothing."""
        found: dict[int, float] = {}
        for row in rows:
            amount = row[value] if isinstance(value, str) else value(row)
            if amount is not None:
                second = self.second(row)
                found[second] = found.get(second, 0.0) + amount
        return found

    def within(self, rows: Iterable[Row], run: Run) -> list[Row]:
        """The rows of a stretch of seconds."""
        return [row for row in rows if self.second(row) in run]

    def during(self, changes: Iterable[Change], run: Run) -> list[Change]:
        """The changes that end within a stretch of seconds."""
        return [change for change in changes if self.second(change.after) in run]

    def evidence(self, kind: str, rows: Sequence[Row], metric: str, how: How) -> Evidence | None:
        """A number out of rows, citing them; None where there is no value in them.

        Args:
            kind: what the rows are.
            rows: those that the claim is about; of very many, enough to show it.
            metric: the column.
            how: what becomes of its values.
        """
        declared = kinds()[kind]
        if how == "increase":
            samples = self.samples(kind)
            rows = [row for row in rows if row["id"] not in _glitches(samples, declared, row, metric)]
        known = _enough(declared, rows, metric, how)
        if not known:
            return None
        return Evidence(
            table=declared.table,
            start_ns=min(map(moment, known)),
            end_ns=max(map(moment, known)),
            metric=metric,
            how=how,
            value=measured(how, declared, metric, known),
            row_ids=tuple(row["id"] for row in known),
        )

    @cached_property
    def cpus(self) -> int:
        """CPUs of the machine, by the rows that they have; at least one."""
        return max(len({row["cpu"] for row in self.rows("cpu") if (row["cpu"] or 0) >= 0} - {None, -1}), 1)

    @cached_property
    def unseen(self) -> tuple[str, ...]:
        """Collectors that do not run, or leave columns empty, and why, from their own reports."""
        last = {row["name"]: row for row in self.rows("collector")}
        silent = [
            f"{name}{', in part' if row['status'] == 'running' else ''}: {row['reason'] or row['status']}"
            for name, row in sorted(last.items(), key=lambda item: str(item[0]))
            if row["status"] != "running" or row["reason"]
        ]
        return tuple(silent)


def samples_of(changes: Sequence[Change]) -> list[Row]:
    """The rows that consecutive changes lie between, from which an increase can be computed."""
    return [changes[0].before, *(change.after for change in changes)] if changes else []


def grouped(rows: Iterable[Row], *columns: str) -> dict[tuple[Any, ...], list[Row]]:
    """Rows by the values of columns, in their order."""
    found: dict[tuple[Any, ...], list[Row]] = {}
    for row in rows:
        found.setdefault(tuple(row[column] for column in columns), []).append(row)
    return found


def runs(values: Mapping[int, float], holds: Callable[[float], bool], *, least: int = 3, gap: int = 1) -> list[Run]:
    """The stretches of at least ``least`` seconds in which values hold, over gaps of up to ``gap`` seconds."""
    seconds = sorted(second for second, value in values.items() if holds(value))
    found: list[Run] = []
    for second in seconds:
        if found and second - found[-1].last <= gap + 1:
            found[-1] = Run(found[-1].first, second)
        else:
            found.append(Run(second, second))
    return [run for run in found if run.seconds >= least]


def _enough(kind: Kind, rows: Iterable[Row], metric: str, how: How) -> list[Row]:
    """The rows that have a value, by time, thinned where that changes nothing: a counter's increase is in its ends."""
    known = sorted((row for row in rows if row[metric] is not None), key=moment)
    if how in {"sum", "count", "mean"}:
        return known[-_MOST_SUMMED:]
    if len(known) <= _MOST_CITED:
        return known
    chosen = {round(i * (len(known) - 1) / (_MOST_CITED - 1)) for i in range(_MOST_CITED)}
    if how in {"max", "min"}:
        choose = max if how == "max" else min
        chosen.add(choose(range(len(known)), key=lambda i: float(known[i][metric])))
    if how == "increase":
        return needed(kind, known, metric, chosen)
    return [known[i] for i in sorted(chosen)]


def _glitches(samples: Mapping[tuple[Any, ...], Samples], kind: Kind, row: Row, metric: str) -> frozenset[int]:
    found = samples.get(tuple(row[column] for column in kind.entity))
    return found.glitches(metric) if found is not None else frozenset()


def _spans(change: Change, gaps: Sequence[tuple[int, int]]) -> bool:
    start, end = moment(change.before), moment(change.after)
    return change.seconds > _UNKNOWN_S and any(start <= a and b <= end for a, b in gaps)


def moment(row: Row) -> int:
    """When a row is of (ns since the epoch)."""
    return int(row["timestamp"])
