"""Where a level is going: steady growth or decline, and when it meets a limit."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from itertools import accumulate, pairwise
from typing import Any, TypeVar

from kernelsight.diagnosis.measure import slope
from kernelsight.diagnosis.threshold import Threshold
from kernelsight.diagnosis.window import NS_PER_S
from kernelsight.events.declare import Event
from kernelsight.events.fields import Metric, getter
from kernelsight.query.stored import moment

E = TypeVar("E", bound=Event)

_LEAST_POINTS = 4
BACK_SHARE = Threshold(
    0.2,
    "share of the whole way",
    because="judged: a steady trend goes back by no more in between; what does is used in turns",
)


@dataclass(frozen=True, slots=True)
class Trend:
    """A level over the rows in which it went one way, up to the last one."""

    rows: Sequence[Any]
    """From where it began to move to the end."""
    per_second: float
    first: float
    last: float
    metric: Metric[Any]

    @property
    def seconds(self) -> float:
        """How long it has been going on."""
        return float(moment(self.rows[-1]) - moment(self.rows[0])) / NS_PER_S

    @property
    def onset_ns(self) -> int:
        """When it began."""
        return moment(self.rows[0])

    @property
    def points(self) -> list[tuple[int, float]]:
        """The level, by time (ns since the epoch)."""
        return _points(self.rows, self.metric)

    @property
    def has_stopped(self) -> bool:
        """Whether the level rests at the end for longer than it ever did on its way, between steps."""
        return _has_stopped(self.points)

    def seconds_to(self, limit: float) -> float | None:
        """When it meets a limit, if it goes on like this; None if it never does."""
        if self.per_second == 0 or (limit - self.last) / self.per_second < 0:
            return None
        return (limit - self.last) / self.per_second


def _known(rows: Sequence[E], metric: Metric[E]) -> tuple[Sequence[E], list[float]]:
    """The rows that have a level, and the levels."""
    levels = [*map(getter(metric), rows)]
    if None in levels:
        rows = [row for row, level in zip(rows, levels, strict=True) if level is not None]
    return rows, [float(level) for level in levels if level is not None]


def _points(rows: Iterable[E], metric: Metric[E]) -> list[tuple[int, float]]:
    return [(moment(row), float(getter(metric)(row) or 0.0)) for row in rows]


def trend(rows: Sequence[E], metric: Metric[E], *, up: bool) -> Trend | None:
    """The steady growth (or decline) that a level is in at the end of its rows; None where it is in none.

    It begins where the level was lowest (or highest) for the last time, and on the way from there it
    went back by no more than a fifth of it.
    """
    known, levels = _known(rows, metric)
    if len(known) < _LEAST_POINTS or levels[-1] == (min(levels) if up else max(levels)):
        return None
    if not up:
        levels = [-level for level in levels]
    start = len(levels) - 1 - levels[::-1].index(min(levels))
    moved = levels[-1] - levels[start]
    if len(levels) - start < _LEAST_POINTS or moved <= 0:
        return None
    if sum(max(0.0, before - after) for before, after in pairwise(levels[start:])) > BACK_SHARE * moved:
        return None
    part = known[start:]
    points = _points(part, metric)
    return Trend(part, slope(points), points[0][1], points[-1][1], metric)


STRAIGHT_SHARE = Threshold(
    0.25,
    "share of the whole way",
    because="judged: growth in steps is off the straight line by one of them",
)
_STARTS = 24
"""So many beginnings are tried."""


def straight(rows: Sequence[E], metric: Metric[E], *, least_s: float) -> Trend | None:
    """The longest stretch up to the last row in which a level grew at one rate; None where there is none.

    What was there before, such as the memory that a program takes when it starts, is not part of it,
    and a level that no longer grows is not in one.

    Args:
        rows: of one entity, by time.
        metric: the level.
        least_s: how long the stretch must be.
    """
    known, levels = _known(rows, metric)
    all_points = list(zip(map(moment, known), levels, strict=True))
    step = max(1, len(known) // _STARTS)
    for start in range(0, len(known), step):
        part, points = known[start:], all_points[start:]
        if len(points) < _LEAST_POINTS or points[-1][0] - points[0][0] < least_s * NS_PER_S:
            return None
        if _is_straight(points):
            if _levels_off(levels[:start], points):
                return None
            return _from_its_beginning(known[max(0, start - step) :], metric, least_s) or Trend(
                part, slope(points), points[0][1], points[-1][1], metric
            )
    return None


def _from_its_beginning(rows: Sequence[E], metric: Metric[E], least_s: float) -> Trend | None:
    """The growth of a level that may have rested at first, from where it began; None where that is shorter."""
    points = _points(rows, metric)
    begin = bend(points)
    part = points[begin:]
    if len(part) < _LEAST_POINTS or part[-1][0] - part[0][0] < least_s * NS_PER_S or not _is_straight(part):
        return None
    return Trend(rows[begin:], slope(part), part[0][1], part[-1][1], metric)


def bend(points: Sequence[tuple[int, float]]) -> int:
    """The place of the point at which a level that rests begins to grow: that from which a line fits best.

    Of a level that rests at its mean up to there, and then grows in a straight line from it, the squares of what is
    left are least. The growth of memory that is seen for minutes begins within seconds of it, however long it had
    rested before, which a tolerance for all of the way cannot tell.
    """
    origin = points[0][0]
    times = [(at - origin) / NS_PER_S for at, _ in points]
    levels = [value - points[0][1] for _, value in points]
    both = list(zip(times, levels, strict=True))
    columns = (levels, [v * v for v in levels], times, [t * t for t in times], [t * v for t, v in both])
    sums = [tuple(accumulate(column, initial=0.0)) for column in columns]
    count = len(points)

    def left(begin: int) -> float:
        rested = begin + 1
        level, squared = (column[rested] / rested for column in sums[:2])
        after = count - begin
        v, vv, t, tt, tv = (column[count] - column[begin] for column in sums)
        at = times[begin]
        # Of the line through (at, level): what it leaves, with the slope that leaves least.
        along, steep = tv - at * v - level * t + after * at * level, tt - 2 * at * t + after * at * at
        off = vv - 2 * level * v + after * level * level
        return rested * (squared - level * level) + off - (along * along / steep if steep > 0 else 0.0)

    return min(range(count - 1), key=left)


def _is_straight(points: Sequence[tuple[int, float]]) -> bool:
    """Whether a level is near the line from its first point to its last, which leads up, and is still on it."""
    (began, first), (ended, last) = points[0], points[-1]
    per_ns = (last - first) / (ended - began)
    if per_ns <= 0 or any(
        abs(value - first - per_ns * (at - began)) > STRAIGHT_SHARE * (last - first) for at, value in points
    ):
        return False
    recent = [(at, value) for at, value in points if ended - at <= (ended - began) / 3]
    return last - recent[0][1] >= per_ns * (ended - recent[0][0]) / 2 and not _has_stopped(points)


LEVELS_OFF_SHARE = Threshold(
    0.5,
    "share of what it grew by in the first half",
    because="judged: a level that grows by no more in the second half ends soon, as what warms up",
)


def _levels_off(before: Sequence[float], points: Sequence[tuple[int, float]]) -> bool:
    """Whether a stretch is the end of a curve: it grew more before it, and ever less within it, as what warms up."""
    (began, first), (ended, last) = points[0], points[-1]
    half = next(value for at, value in points if 2 * at >= began + ended)
    return bool(before) and first - min(before) >= last - first and last - half <= LEVELS_OFF_SHARE * (half - first)


REST_SHARE = Threshold(0.02, "share of the whole way", because="judged: a level that moves by no more rests")
LONG_REST_TIMES = Threshold(
    2,
    "times as long as the longest rest on its way",
    because="judged: a level that grows in steps rests between them for about as long each time",
)
_LEAST_REST_NS = 4 * NS_PER_S


def _has_stopped(points: Sequence[tuple[int, float]]) -> bool:
    """Whether the last rest of a level is much longer than those between its steps."""
    way = REST_SHARE * abs(points[-1][1] - points[0][1])
    rests = [0]
    begun, level = points[0]
    for at, value in points[1:]:
        if abs(value - level) > way:
            rests.append(at - begun)
            begun, level = at, value
    return points[-1][0] - begun > max(LONG_REST_TIMES * max(rests), _LEAST_REST_NS)
