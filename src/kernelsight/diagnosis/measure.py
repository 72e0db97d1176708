"""How a value comes from rows: the one place that both who claims and who checks uses."""

from __future__ import annotations

import statistics
from collections.abc import Callable, Mapping, Sequence
from itertools import pairwise

from kernelsight.diagnosis.model import How

Points = Sequence[tuple[int, float]]
"""Timestamp (ns) and value, by time."""

_LARGEST_SLOPE_SAMPLE = 60


def increase(points: Points) -> float:
    """How much a counter grew, over resets (where it starts again from nothing)."""
    return sum(after - before if after >= before else after for (_, before), (_, after) in pairwise(points))


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
    "increase": increase,
    "mean": lambda points: statistics.fmean(value for _, value in points),
    "max": lambda points: max(value for _, value in points),
    "min": lambda points: min(value for _, value in points),
    "last": lambda points: points[-1][1],
    "slope": slope,
    "count": lambda points: float(len(points)),
}


def measure(how: How, points: Points) -> float:
    """The value that the points give; they are at least one."""
    return float(_HOW[how](points))
