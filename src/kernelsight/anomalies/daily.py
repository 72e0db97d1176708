"""What a series does every day at the same time: a backup at three, a report at noon."""

from __future__ import annotations

import numpy as np

from kernelsight.anomalies.arrays import Indices, Ints, Reals

BINS = 96
"""Quarters of an hour of a day (UTC)."""
DAYS = 6
"""Days that are remembered."""
_LEAST_DAYS = 3
_DAY_S = 86_400


class DailyBands:
    """The least and greatest value of each quarter of an hour of the last days.

    From the third day on, an excursion is expected where at least two days had one as large within a quarter of
    an hour of this time; one day alone may have been an anomaly itself.
    """

    def __init__(self, count: int) -> None:
        self._highs = np.full((count, BINS, DAYS), -np.inf, np.float32)
        self._lows = np.full((count, BINS, DAYS), np.inf, np.float32)
        self._days: Ints = np.zeros((count, BINS), np.int64)
        self._bin: Ints = np.full(count, -1, np.int64)
        self._high_now = np.full(count, -np.inf)
        self._low_now = np.full(count, np.inf)
        self.high: Reals = np.full(count, -np.inf)
        """What is expected now at most; minus infinity where nothing is."""
        self.low: Reals = np.full(count, np.inf)

    def learn(self, series: Indices, at_s: Reals, values: Reals) -> None:
        """Take one observation of each series; ``at_s`` is in seconds since the epoch."""
        bins = ((at_s % _DAY_S) * (BINS / _DAY_S)).astype(np.int64) % BINS
        changed = bins != self._bin[series]
        if changed.any():
            self._turn(series[changed], bins[changed])
        self._high_now[series] = np.maximum(self._high_now[series], values)
        self._low_now[series] = np.minimum(self._low_now[series], values)

    def _turn(self, series: Indices, bins: Ints) -> None:
        """Finish the quarter of an hour that has passed, and look up what is expected of the new one."""
        last = self._bin[series]
        known = series[last >= 0]
        past = last[last >= 0]
        day = self._days[known, past] % DAYS
        self._highs[known, past, day] = self._high_now[known]
        self._lows[known, past, day] = self._low_now[known]
        self._days[known, past] += 1
        self._bin[series] = bins
        self._high_now[series], self._low_now[series] = -np.inf, np.inf
        near = (bins[:, None] + np.array([-1, 0, 1])) % BINS
        highs = np.sort(self._highs[series[:, None], near].max(axis=1), axis=1)
        lows = np.sort(self._lows[series[:, None], near].min(axis=1), axis=1)
        enough = self._days[series, bins] >= _LEAST_DAYS
        self.high[series] = np.where(enough, highs[:, -2], -np.inf)
        self.low[series] = np.where(enough, lows[:, 1], np.inf)

    def without(self, series: Indices, values: Reals, level: Reals, spread: Reals) -> Reals:
        """The values less the excursions that are expected now: those by more than four spreads from the level."""
        up = np.maximum(0.0, self.high[series] - level - 4 * spread)
        down = np.maximum(0.0, level - 4 * spread - self.low[series])
        above, below = np.maximum(0.0, values - level), np.maximum(0.0, level - values)
        return values - np.minimum(up, above) + np.minimum(down, below)
