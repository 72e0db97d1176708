"""How unlike the same time of other days now is."""

from __future__ import annotations

import numpy as np

from kernelsight.anomalies.arrays import Indices, Ints, Reals

BINS = 48
"""Half hours of a day (UTC)."""
DAYS = 16
"""Days that are remembered: two weekends."""
_LEAST_DAYS = 3
_NEIGHBOUR = 2
"""Which of the nearest days counts: one like today may have been an anomaly itself."""
_DAY_S = 86_400


class TimeOfDay:
    """The mean of each half hour of the last days of each series."""

    def __init__(self, count: int) -> None:
        self._means = np.full((count, BINS, DAYS), np.inf, np.float32)
        self._days: Ints = np.zeros((count, BINS), np.int64)
        self._bin: Ints = np.full(count, -1, np.int64)
        self._sum = np.zeros(count)
        self._number = np.zeros(count)

    def distances(self, series: Indices, at_s: Reals, values: Reals) -> Reals:
        """Take one observation of each series; say how far the mean of this half hour so far is from other days' ones.

        Args:
            series: which, each at most once.
            at_s: when, in seconds since the epoch.
            values: what, as :func:`kernelsight.anomalies.shapes.folded` gives it.

        Returns:
            one number a series: the distance from the second nearest day; NaN before three have passed.
        """
        bins = ((at_s % _DAY_S) * (BINS / _DAY_S)).astype(np.int64) % BINS
        changed = bins != self._bin[series]
        if changed.any():
            self._turn(series[changed], bins[changed])
        self._sum[series] += values
        self._number[series] += 1
        distances = np.full(len(series), np.nan)
        known = np.flatnonzero(self._days[series, bins] >= _LEAST_DAYS)
        if len(known):
            which = series[known]
            now = self._sum[which] / self._number[which]
            apart = np.abs(self._means[which, bins[known]] - now[:, None])
            distances[known] = np.partition(apart, _NEIGHBOUR - 1, axis=1)[:, _NEIGHBOUR - 1]
        return distances

    def forget(self, series: Indices) -> None:
        """Of these series, what was of this half hour is measured by another baseline than what comes."""
        self._sum[series] = self._number[series] = 0.0

    def _turn(self, series: Indices, bins: Ints) -> None:
        """Keep the half hour that has passed, and begin the new one."""
        known = series[(self._bin[series] >= 0) & (self._number[series] > 0)]
        past = self._bin[known]
        self._means[known, past, self._days[known, past] % DAYS] = self._sum[known] / self._number[known]
        self._days[known, past] += 1
        self._bin[series] = bins
        self._sum[series] = self._number[series] = 0.0
