"""The samples of one entity in the order in which they were taken, and what its counters grew by between them."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from itertools import pairwise
from operator import sub
from typing import Any, Generic, TypeVar

from kernelsight.events.declare import Counter, Event, Kind, kind_of
from kernelsight.events.deltas import Growth, growths, in_order, only_grows
from kernelsight.events.fields import Metric, field_named, getter, name_of
from kernelsight.query.clock_steps import Step, elapsed_ns
from kernelsight.query.stored import moment, row_id

NS_PER_S = 1_000_000_000
E = TypeVar("E", bound=Event)


class Samples(Generic[E]):
    """The rows of one entity in their order."""

    __slots__ = ("_glitches", "_grown", "_steps", "first", "rows")

    def __init__(self, rows: Sequence[E], first: int = 0, steps: Sequence[Step] = ()) -> None:
        """Take rows in their order.

        Args:
            rows: in the order in which they were taken.
            first: the rows in front of this place only tell what the others are.
            steps: when the clock was set.
        """
        self.rows = rows
        self.first = first
        self._steps = steps
        self._grown: dict[Metric[E], list[float]] = {}
        self._glitches: dict[Metric[E], frozenset[int]] = {}

    def grown(self, metric: Metric[E]) -> list[float]:
        """What a counter grew by between each row and the one before it; 0 where it is not known.

        What it grew by over a glitch is shared among the rows of the glitch and the one after it, by time.
        """
        if metric not in self._grown:
            self._judge(metric)
        return self._grown[metric]

    def glitches(self, metric: Metric[E]) -> frozenset[int]:
        """Ids of the rows in which a counter had left its course, to which it came back."""
        if metric not in self._grown:
            self._judge(metric)
        return self._glitches[metric]

    def deltas(self) -> list[CounterDelta[E]]:
        """Consecutive samples, where it is known that time passed between them, and how much."""
        rows, stamps = self.rows, list(map(moment, self.rows))
        if self._steps:
            times = [self._ns(before, after) for before, after in pairwise(stamps)]
        else:
            times = list(map(sub, stamps[1:], stamps))
        return [
            CounterDelta(rows[place - 1], rows[place], ns, self, place)
            for place, ns in enumerate(times[self.first :], self.first + 1)
            if ns > 0
        ]

    def _ns(self, before_ns: int, after_ns: int) -> int:
        return elapsed_ns(before_ns, after_ns, self._steps) if self._steps else after_ns - before_ns

    def _judge(self, metric: Metric[E]) -> None:
        values = list(map(getter(metric), self.rows))
        if only_grows(values):
            grown = [0.0, *(float(b - a) for a, b in pairwise(values))]
            self._grown[metric], self._glitches[metric] = grown, frozenset()
            return
        known = [place for place, value in enumerate(values) if value is not None]
        grown = [0.0] * len(values)
        glitches: set[int] = set()
        found = growths([value for value in values if value is not None], counter_of(metric))
        for number, one in enumerate(found):
            if one is not None:
                self._share(one, known[number - one.back], known[number], grown)
                glitches.update(row_id(self.rows[place]) for place in known[number - one.back + 1 : number])
        self._grown[metric], self._glitches[metric] = grown, frozenset(glitches)

    def _share(self, one: Growth, start: int, end: int, grown: list[float]) -> None:
        stamps = list(map(moment, self.rows[start : end + 1]))
        times = [max(0, self._ns(before, after)) for before, after in pairwise(stamps)]
        whole = sum(times)
        if not whole:
            grown[end] = float(one.amount)
            return
        for place, time in enumerate(times, start + 1):
            grown[place] = one.amount * time / whole


@dataclass(frozen=True, slots=True)
class CounterDelta(Generic[E]):
    """What the counters of an entity did between two samples."""

    before: E
    after: E
    ns: int
    """Time between the two, whatever the clock was set to meanwhile."""
    samples: Samples[E]
    place: int
    """Of the second of the two among the samples."""

    @property
    def seconds(self) -> float:
        """Time between the two."""
        return self.ns / NS_PER_S

    def of(self, metric: Metric[E]) -> float:
        """How much a counter grew; 0 where it is not known."""
        return self.samples.grown(metric)[self.place]


def counter_of(metric: Metric[Any]) -> Counter:
    """The declaration of a counter.

    Raises:
        TypeError: the column is none.
    """
    kind = kind_of(metric.__objclass__)
    semantics = kind.by_name[name_of(metric)].semantics
    if not isinstance(semantics, Counter):
        raise TypeError(f"{kind.table}.{name_of(metric)} is no counter: what it grew by means nothing")
    return semantics


def counters(kind: Kind) -> list[Metric[Any]]:
    """Those of a kind."""
    return [field_named(kind, column.name) for column in kind.columns if isinstance(column.semantics, Counter)]


def ordered(series: Iterable[Sequence[E]], metrics: Sequence[Metric[E]]) -> list[list[E]]:
    """The rows of each entity in the order in which they were taken (:func:`kernelsight.events.deltas.in_order`)."""
    return in_order((sorted(rows, key=row_id) for rows in series), moment, [*map(getter, metrics)])
