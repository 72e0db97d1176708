"""Where a series usually is: its median, spread and usual range over a window that starts anew after a shift."""

from __future__ import annotations

import numpy as np

from kernelsight.anomalies.arrays import Flags, Indices, Ints, Reals

WINDOW = 1024
REFRESH = 32
"""Observations between two looks at the whole window; nothing is judged before the first."""
REBASE_AFTER = 96
"""So many observations in a row on one side, outside: the series has moved, what was before is forgotten."""
OUTSIDE = 3.0
_SMOOTHING = 1 / 8
_LOW, _HIGH = 0.01, 0.99


class Baselines:
    """Median and spread of the last :data:`WINDOW` observations of each series, robust against outliers.

    The spread is half the distance of the 16th and the 84th percentile, which is the standard deviation of what
    is normal, and at least a quarter of the mean deviation, which does not vanish for a series that is nearly
    always the same. It follows slowly: what is measured in it should not change its meaning at every look.
    """

    def __init__(self, least: Reals, phases: Ints) -> None:
        """Start with no knowledge.

        Args:
            least: the smallest spread that each series may have.
            phases: by how many observations each series' looks at the whole are put off, so that not all fall due
                at once.
        """
        count = len(least)
        self._least = least
        self._phases = phases
        self._ring = np.full((count, WINDOW), np.nan)
        self._head = np.zeros(count, np.int64)
        self._filled = np.zeros(count, np.int64)
        self.seen: Ints = np.zeros(count, np.int64)
        """Observations so far."""
        self.level: Reals = np.zeros(count)
        self.spread: Reals = np.ones(count)
        self.low: Reals = np.zeros(count)
        self.high: Reals = np.zeros(count)
        self.outside: Ints = np.zeros(count, np.int64)
        """Observations in a row outside the baseline, negative below it."""

    def ready(self, series: Indices) -> Flags:
        """Which of the series have a baseline."""
        return np.asarray(self.seen[series] >= REFRESH)

    def standardised(self, series: Indices, values: Reals) -> Reals:
        """The values as distances from the level, in spreads."""
        return (values - self.level[series]) / self.spread[series]

    def learn(self, series: Indices, values: Reals, distances: Reals) -> tuple[Flags, Flags]:
        """Take one observation of each.

        Returns:
            which were looked at as a whole, and which started anew because the series has moved.
        """
        ready = self.ready(series)
        head = self._head[series]
        self._ring[series, head] = values
        self._head[series] = (head + 1) % WINDOW
        self._filled[series] = np.minimum(self._filled[series] + 1, WINDOW)
        self.seen[series] += 1
        moved = self._count_outside(series, distances, ready)
        for moved_series in series[moved]:
            self._forget(int(moved_series))
        seen = self.seen[series]
        due = moved | (seen == REFRESH) | ((seen > REFRESH) & ((seen + self._phases[series]) % REFRESH == 0))
        if due.any():
            self._refresh(series[due], moved[due])
        return due, moved

    def _count_outside(self, series: Indices, distances: Reals, ready: Flags) -> Flags:
        side = np.where(ready & (np.abs(distances) > OUTSIDE), np.sign(distances), 0).astype(np.int64)
        before = self.outside[series]
        now = np.where(side == 0, 0, np.where(np.sign(before) == side, before + side, side))
        moved = np.abs(now) >= REBASE_AFTER
        self.outside[series] = np.where(moved, 0, now)
        return np.asarray(moved)

    def _forget(self, place: int) -> None:
        """Keep only the observations since the series moved."""
        end = int(self._head[place])
        kept = self._ring[place, np.arange(end - REBASE_AFTER, end) % WINDOW]
        self._ring[place] = np.nan
        self._ring[place, :REBASE_AFTER] = kept
        self._head[place] = self._filled[place] = REBASE_AFTER

    def _refresh(self, series: Indices, moved: Flags) -> None:
        window = self._ring[series]
        ordered = np.sort(window, axis=1)  # empty places are NaN, which sorts last
        count = self._filled[series]
        rows = np.arange(len(series))

        def quantile(share: float) -> Reals:
            return np.asarray(ordered[rows, np.rint(share * (count - 1)).astype(np.intp)])

        level = quantile(0.5)
        deviation = np.nansum(np.abs(window - level[:, None]), axis=1) / count
        spread = np.maximum((quantile(0.84) - quantile(0.16)) / 2, deviation / 4)
        spread = np.maximum(spread, np.maximum(self._least[series], 1e-9 * np.abs(level) + 1e-12))
        fresh = moved | (self.seen[series] < 4 * REFRESH)
        before = self.spread[series]
        self.spread[series] = np.where(fresh, spread, before * (spread / before) ** _SMOOTHING)
        self.level[series] = level
        self.low[series], self.high[series] = quantile(_LOW), quantile(_HIGH)
