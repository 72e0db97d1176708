"""From rows to the lines of a chart: whole for a range, or point by point while rows arrive."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Any, NamedTuple

from kernelsight.events.declare import Counter, Delta
from kernelsight.events.deltas import History
from kernelsight.events.fields import name_of
from kernelsight.printable import printable
from kernelsight.query.filters import Filter
from kernelsight.query.points import PATIENCE
from kernelsight.query.readings import readings
from kernelsight.query.times import TimeRange
from kernelsight.stores.base import Reader, Row
from kernelsight.surfaces.web.chart import Chart

_SECOND = 1_000_000_000
_BACK_NS = 10 * _SECOND
"""A sample that is older than the last one by more comes after the clock was set back."""
MOST_LINES = 12
"""Lines of a chart: more cannot be told apart."""


class Point(NamedTuple):
    """Values of one entity at a moment, one for each line of the chart; None where a value is not known."""

    timestamp: int
    entity: tuple[Any, ...]
    values: tuple[float | None, ...]


class Course:
    """Calculates the points of a chart from its rows, taken in the order of time."""

    def __init__(self, chart: Chart[Any], step_ns: int) -> None:
        self._chart = chart
        self._names = [name_of(metric) for metric in chart.metrics]
        self._counters = [semantics if isinstance(semantics := chart.kind.by_name[name].semantics, Counter) else None
                          for name in self._names]  # fmt: skip
        interval_s = chart.kind.interval_s or 1.0
        self._seconds = [interval_s if isinstance(chart.kind.by_name[name].semantics, Delta) else 1.0
                         for name in self._names]  # fmt: skip
        self._scales = [chart.scale(metric) for metric in chart.metrics]
        interval_ns = int((chart.kind.interval_s or 1.0) * _SECOND)
        self._gap_ns = PATIENCE * max(step_ns, interval_ns)
        self._least_ns = step_ns // 2 if step_ns > interval_ns else 1
        self._entities: dict[tuple[Any, ...], tuple[int, list[History | None]]] = {}
        index = {name: place for place, name in enumerate(self._names)}
        self._lines = [
            ([index[name_of(metric)] for metric in line.plus], [index[name_of(metric)] for metric in line.minus])
            for line in chart.lines
        ]
        self._whole = [index[name_of(metric)] for metric in chart.out_of]

    @property
    def columns(self) -> tuple[Any, ...]:
        """What :meth:`take` wants behind the timestamp."""
        return (*self._chart.per, *self._chart.metrics)

    def take(self, rows: Iterable[Row]) -> list[Point]:
        """The points of the next rows."""
        points = []
        width = len(self._chart.per)
        for row in rows:
            at, entity = int(row[0] or 0), row[1 : 1 + width]
            known = self._entities.get(entity)
            if known is not None and -_BACK_NS < at - known[0] < self._least_ns:
                continue  # it was taken already, or is another sample about the end of the same step
            if known is None or not 0 < at - known[0] <= self._gap_ns:
                known = (at, [History(counter) if counter else None for counter in self._counters])
            values = [
                self._value(place, at, value, known[1][place]) for place, value in enumerate(row[1 + width :])
            ]  # fmt: skip
            self._entities[entity] = (at, known[1])
            points.append(Point(at, entity, self._drawn(values)))
        return points

    def _value(self, place: int, at: int, value: Any, history: History | None) -> float | None:
        if not isinstance(value, (int, float)):
            return None
        if history is None:
            return value * self._scales[place] / self._seconds[place]
        delta = history.take(at, value)
        return None if delta is None else delta.amount * self._scales[place] * _SECOND / delta.ns

    def _drawn(self, values: Sequence[float | None]) -> tuple[float | None, ...]:
        factor = 100.0 if self._chart.percent else 1.0
        if self._whole:
            whole = sum(value for place in self._whole if (value := values[place]) is not None)
            if whole <= 0:
                return (None,) * len(self._lines)
            factor = 100.0 / whole
        drawn: list[float | None] = []
        for plus, minus in self._lines:
            parts = [*((1, values[place]) for place in plus), *((-1, values[place]) for place in minus)]
            known = [sign * value for sign, value in parts if value is not None]
            drawn.append(float(f"{sum(known) * factor:.5g}") if len(known) == len(parts) else None)
        return tuple(drawn)


def course(
    reader: Reader, chart: Chart[Any], when: TimeRange, step_ns: int, only: Iterable[Filter[Any]] = ()
) -> list[Point]:
    """The points of a chart within a range, of the rows that meet all conditions."""
    calculation = Course(chart, step_ns)
    before_ns = max(step_ns, int((chart.kind.interval_s or 1.0) * _SECOND))
    wider = TimeRange(max(0, when.start_ns - before_ns), when.end_ns)  # the first rate needs a sample before it
    rows = readings(reader, chart.struct, calculation.columns, wider, step_ns, only=(*chart.only, *only))
    return [point for point in calculation.take(rows) if point.timestamp >= when.start_ns]


class Drawn(NamedTuple):
    """What the browser draws: moments, and a value for each in each line."""

    times_ms: list[float]
    labels: list[str]
    values: list[list[float | None]]
    left_out: int
    """Entities that have no line, because they had less than those that have."""


def drawn(chart: Chart[Any], points: Iterable[Point]) -> Drawn:
    """Points as columns; of many entities those with the most."""
    by_entity: dict[tuple[Any, ...], list[Point]] = {}
    for point in points:
        by_entity.setdefault(point.entity, []).append(point)
    most = max(1, MOST_LINES // len(chart.lines))
    amounts = {entity: _total(of_it) for entity, of_it in by_entity.items()}
    active = [entity for entity in by_entity if amounts[entity]] or list(by_entity)[:1]
    ranked = sorted(active, key=lambda entity: -amounts[entity])
    shown = sorted(ranked[:most], key=lambda entity: tuple(map(str, entity)))
    times = sorted({point.timestamp for entity in shown for point in by_entity[entity]})
    place = {at: number for number, at in enumerate(times)}
    labels, columns = [], []
    for entity in shown:
        for number, line in enumerate(chart.lines):
            column: list[float | None] = [None] * len(times)
            for point in by_entity[entity]:
                column[place[point.timestamp]] = point.values[number]
            labels.append(label_of(entity, line.label))
            columns.append(column)
    return Drawn([at / 1e6 for at in times], labels, columns, len(by_entity) - len(shown))


def label_of(entity: Sequence[Any], label: str) -> str:
    """What a line is called; names of devices and interfaces are chosen by others."""
    return printable(" ".join([*("?" if part is None else str(part) for part in entity), label]).strip())


def _total(points: Iterable[Point]) -> float:
    return sum(abs(value) for point in points for value in point.values if value is not None)
