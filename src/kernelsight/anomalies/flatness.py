"""Series that used to move and stand still: a counter that nobody feeds any more, a sensor that hangs."""

from __future__ import annotations

import numpy as np

from kernelsight.anomalies.arrays import Indices, Ints, Reals

_LEAST_SEEN = 256
_LEAST_RUN = 60
_TIMES_LONGEST = 3
_OFTEN_STILL = 0.1
"""A series of which more observations repeat the one before is one that rests: nothing is odd about rest."""
_HIGHEST = 12.0


class Flatness:
    """How long each series has not changed, and how long that has ever been."""

    def __init__(self, count: int) -> None:
        self._last = np.full(count, np.nan)
        self._run: Ints = np.zeros(count, np.int64)
        self._longest: Ints = np.zeros(count, np.int64)
        self._same: Ints = np.zeros(count, np.int64)

    def step(self, series: Indices, values: Reals, seen: Ints) -> Reals:
        """Minus the decimal logarithm of the chance of standing still for so long, were every observation a fresh draw.

        0 unless the series has been seen for a while and stands still for much longer than ever before.

        Args:
            series: which, each at most once.
            values: their next observations.
            seen: how many each of them had before.
        """
        same = values == self._last[series]
        ended = ~same
        run = self._run[series]
        self._longest[series] = np.where(ended, np.maximum(self._longest[series], run), self._longest[series])
        run = np.where(same, run + 1, 0)
        self._run[series] = run
        self._last[series] = values
        before = seen - run
        chance = (self._same[series] - run + 1) / np.maximum(before + 2, 1)
        self._same[series] += same
        moves = (before >= _LEAST_SEEN) & (chance <= _OFTEN_STILL)
        unusual = moves & (run >= np.maximum(_LEAST_RUN, _TIMES_LONGEST * self._longest[series]))
        score = -np.log10(np.clip(chance, 1e-3, 1.0)) * run
        return np.where(unusual, np.minimum(score, _HIGHEST), 0.0)
