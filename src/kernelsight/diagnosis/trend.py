"""Where a level is going: steady growth or decline, and when it meets a limit."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import pairwise

from kernelsight.diagnosis.measure import slope
from kernelsight.diagnosis.scene import NS_PER_S, Row

_LEAST_POINTS = 4
_MOST_BACK = 0.2
"""Of the whole way, what a steady trend may go back in between."""


@dataclass(frozen=True, slots=True)
class Trend:
    """A level over the rows in which it went one way, up to the last one."""

    rows: Sequence[Row]
    """From where it began to move to the end."""
    per_second: float
    first: float
    last: float

    @property
    def seconds(self) -> float:
        """How long it has been going on."""
        return float(self.rows[-1]["timestamp"] - self.rows[0]["timestamp"]) / NS_PER_S

    @property
    def onset_ns(self) -> int:
        """When it began."""
        return int(self.rows[0]["timestamp"])

    def seconds_to(self, limit: float) -> float | None:
        """When it meets a limit, if it goes on like this; None if it never does."""
        if self.per_second == 0 or (limit - self.last) / self.per_second < 0:
            return None
        return (limit - self.last) / self.per_second


def trend(rows: Sequence[Row], metric: str, *, up: bool) -> Trend | None:
    """The steady growth (or decline) that a level is in at the end of its rows; None where it is in none.

    It begins where the level was lowest (or highest) for the last time, and on the way from there it
    went back by no more than a fifth of it.
    """
    known = [row for row in rows if row[metric] is not None]
    if len(known) < _LEAST_POINTS:
        return None
    sign = 1.0 if up else -1.0
    levels = [sign * float(row[metric]) for row in known]
    start = len(levels) - 1 - levels[::-1].index(min(levels))
    moved = levels[-1] - levels[start]
    back = sum(max(0.0, before - after) for before, after in pairwise(levels[start:]))
    if len(levels) - start < _LEAST_POINTS or moved <= 0 or back > _MOST_BACK * moved:
        return None
    part = known[start:]
    points = [(row["timestamp"], float(row[metric])) for row in part]
    return Trend(part, slope(points), points[0][1], points[-1][1])
