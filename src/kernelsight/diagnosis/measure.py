"""How a value comes from rows: the one place that both who claims and who checks uses."""

from __future__ import annotations

import statistics
from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import TypeVar

from kernelsight.diagnosis.model import How
from kernelsight.diagnosis.samples import counter_of, ordered
from kernelsight.events.declare import Event, kind_of
from kernelsight.events.deltas import increase, telling
from kernelsight.events.fields import Metric, entity_of, getter, row_getter
from kernelsight.query.stored import moment, row_id

E = TypeVar("E", bound=Event)

Points = Sequence[tuple[int, float]]
"""Timestamp (ns) and value, by time."""

_LARGEST_SLOPE_SAMPLE = 60


def some_of(points: Points) -> Points:
    """Of very many points, enough to know their slope by."""
    step = -(-len(points) // _LARGEST_SLOPE_SAMPLE)
    return points[::step] if step > 1 else points


def slopes(points: Points) -> list[float]:
    """Growth a second between all pairs of points."""
    return [
        (later - value) * 1e9 / (at - time)
        for i, (time, value) in enumerate(points)
        for at, later in points[i + 1 :]
        if at > time
    ]


def slope(points: Points) -> float:
    """Growth a second by the Theil-Sen estimator: the median of the slopes between all pairs of points.

    A third of the points may be anything. (Sen, "Estimates of the regression coefficient based on
    Kendall's tau", JASA 63, 1968.)
    """
    found = slopes(some_of(points))
    return statistics.median(found) if found else 0.0


_HOW: Mapping[How, Callable[[Points], float]] = {
    "sum": lambda points: sum(value for _, value in points),
    "mean": lambda points: statistics.fmean(value for _, value in points),
    "max": lambda points: max(value for _, value in points),
    "min": lambda points: min(value for _, value in points),
    "last": lambda points: points[-1][1],
    "slope": slope,
    "count": lambda points: float(len(points)),
}


def measured(how: How, metric: Metric[E], rows: Iterable[E]) -> float:
    """The value that rows give, of which at least one has the metric.

    Args:
        how: what becomes of the values.
        metric: the column.
        rows: of one kind, with their ids; what several entities grew by is added up.
    """
    value_of = getter(metric)
    known = sorted((row for row in rows if value_of(row) is not None), key=moment)
    if how == "increase":
        counter = counter_of(metric)
        series = ordered(_by_entity(metric, known), [metric])
        return float(sum(increase(_values(its, metric), counter) for its in series))
    return float(_HOW[how](list(zip(map(moment, known), map(float, _values(known, metric)), strict=True))))


def needed(metric: Metric[E], rows: Sequence[E], chosen: Iterable[int] = ()) -> list[E]:
    """Of many rows that have a counter, by time, those without which its increase would be another.

    Args:
        metric: the counter.
        rows: as for :func:`measured`.
        chosen: places of rows that are kept besides.
    """
    kept = {row_id(rows[place]) for place in chosen}
    for its in ordered(_by_entity(metric, rows), [metric]):
        kept |= {row_id(its[place]) for place in telling(_values(its, metric))}
    return [row for row in rows if row_id(row) in kept]


def _values(rows: Iterable[E], metric: Metric[E]) -> list[float]:
    return [value for value in map(getter(metric), rows) if value is not None]


def _by_entity(metric: Metric[E], rows: Iterable[E]) -> list[list[E]]:
    entity = row_getter(*entity_of(kind_of(metric.__objclass__)))
    found: dict[tuple[object, ...], list[E]] = {}
    for row in rows:
        found.setdefault(entity(row), []).append(row)
    return [*found.values()]
