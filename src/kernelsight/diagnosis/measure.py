"""How a value comes from rows: the one place that both who claims and who checks uses."""

from __future__ import annotations

import statistics
from collections.abc import Callable, Iterable, Mapping, Sequence
from operator import itemgetter

from kernelsight.diagnosis.model import How
from kernelsight.diagnosis.samples import Row, counter_of, ordered
from kernelsight.events.declare import Kind
from kernelsight.events.deltas import increase, telling

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


def measured(how: How, kind: Kind, metric: str, rows: Iterable[Row]) -> float:
    """The value that rows give, of which at least one has the metric.

    Args:
        how: what becomes of the values.
        kind: of the rows.
        metric: the column.
        rows: with ``id``, ``timestamp``, the metric, and for an increase the columns of the entity: what several
            entities grew by is added up.
    """
    known = sorted((row for row in rows if row[metric] is not None), key=itemgetter("timestamp"))
    if how == "increase":
        series = ordered(kind, _by_entity(kind, known), metric)
        counter = counter_of(kind, metric)
        return float(sum(increase([row[metric] for row in its], counter) for its in series))
    return float(_HOW[how]([(row["timestamp"], float(row[metric])) for row in known]))


def needed(kind: Kind, rows: Sequence[Row], metric: str, chosen: Iterable[int] = ()) -> list[Row]:
    """Of many rows that have a counter, by time, those without which its increase would be another.

    Args:
        kind: of the rows.
        rows: as for :func:`measured`.
        metric: the counter.
        chosen: places of rows that are kept besides.
    """
    kept = {rows[place]["id"] for place in chosen}
    for its in ordered(kind, _by_entity(kind, rows), metric):
        kept |= {its[place]["id"] for place in telling([row[metric] for row in its])}
    return [row for row in rows if row["id"] in kept]


def _by_entity(kind: Kind, rows: Iterable[Row]) -> list[list[Row]]:
    found: dict[tuple[object, ...], list[Row]] = {}
    for row in rows:
        found.setdefault(tuple(row[column] for column in kind.entity), []).append(row)
    return [*found.values()]
