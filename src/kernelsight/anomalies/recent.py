"""How unlike the usual the recent past as a whole is: its level, its variation, and how its values are distributed.

A nearest neighbour sees what single observations and short courses do; that the last hour was a little higher, calmer,
wilder or more often near one of its ends than usual, it does not. Each of these is a weak witness, and cheap.
"""

from __future__ import annotations

import numpy as np

from kernelsight.anomalies.arrays import Indices, Ints, Reals

LEVELS = (4, 16, 64)
"""Observations whose mean is compared with the level."""
VARIATIONS = (16, 64)
"""Steps from one observation to the next whose mean size is compared with the usual one."""
DISTRIBUTED = 48
"""Observations whose distribution is compared with the usual one."""
COLUMNS = len(LEVELS) + len(VARIATIONS) + 1
KEPT = max(*LEVELS, *VARIATIONS, DISTRIBUTED)
_EDGES = np.array([-1.5, -0.9, -0.5, -0.2, 0.0, 0.2, 0.5, 0.9, 1.5])
"""Of the ten classes that values are counted in, about the deciles of what is normal."""
_LEAST_STEP = 0.05
"""Added to the mean size of steps, so that the logarithm of rest is not infinite."""
_LEAST_SHARE = 0.02
"""Added to the shares of classes, for the same reason."""
_USUAL_STEP_RATE = 0.002
_USUAL_SHARE_RATE = 0.001
"""How fast what is usual follows: a memory of 500 and of 1,000 observations."""


class Recent:
    """The last :data:`KEPT` observations of each series, and what of them is usual."""

    def __init__(self, count: int) -> None:
        self._values = np.full((count, KEPT), np.nan)
        self._steps = np.full((count, KEPT), np.nan)
        self._classes: Ints = np.full((count, DISTRIBUTED), -1, np.int64)
        self._counts = np.zeros((count, len(_EDGES) + 1))
        self._usual_step = np.full((count, len(VARIATIONS)), np.nan)
        self._usual_shares = np.full((count, len(_EDGES) + 1), 1.0 / (len(_EDGES) + 1))
        self._seen = np.zeros(count, np.int64)

    def take(self, series: Indices, values: Reals) -> Reals:
        """Take one observation of each series, as :func:`kernelsight.anomalies.shapes.folded` gives it.

        Returns:
            one row a series: distances of the levels (in folded spreads), of the variations (differences of natural
            logarithms) and of the distribution (Kullback and Leibler's divergence, in nats); NaN while too
            little has been seen.
        """
        kept = _shifted(self._values, series, values)
        steps = _shifted(self._steps, series, np.abs(values - kept[:, -2]))
        self._seen[series] += 1
        levels = [np.abs(kept[:, -length:].mean(axis=1)) for length in LEVELS]
        variations = [
            self._variation(series, column, steps[:, -length:].mean(axis=1)) for column, length in enumerate(VARIATIONS)
        ]
        return np.column_stack([*levels, *variations, self._distribution(series, values)])

    def values(self, series: Indices) -> Reals:
        """The last observations of each series, oldest first; NaN where there was none yet."""
        return self._values[series]

    def forget(self, series: Indices) -> None:
        """Begin the recent past anew, as their baselines have: what was kept was measured by the old ones.

        What is usual stays, so that a series that moves has not lost its habits.
        """
        self._values[series] = np.nan
        self._steps[series] = np.nan
        self._classes[series] = -1
        self._counts[series] = 0.0
        self._seen[series] = 0

    def _variation(self, series: Indices, column: int, step: Reals) -> Reals:
        now = np.log(step + _LEAST_STEP)
        usual = self._usual_step[series, column]
        fresh = np.isnan(usual)
        known = usual + _USUAL_STEP_RATE * (np.where(np.isnan(now), usual, now) - usual)
        self._usual_step[series, column] = np.where(fresh, now, known)
        return np.asarray(np.abs(now - usual))

    def _distribution(self, series: Indices, values: Reals) -> Reals:
        oldest = self._classes[series, 0]
        new = np.searchsorted(_EDGES, values)
        self._classes[series, :-1] = self._classes[series, 1:]
        self._classes[series, -1] = new
        left = oldest >= 0
        self._counts[series[left], oldest[left]] -= 1
        self._counts[series, new] += 1
        shares, usual = self._counts[series] / DISTRIBUTED, self._usual_shares[series]
        apart = (shares * np.log((shares + _LEAST_SHARE) / (usual + _LEAST_SHARE))).sum(axis=1)
        usual *= 1 - _USUAL_SHARE_RATE
        usual[np.arange(len(series)), new] += _USUAL_SHARE_RATE
        self._usual_shares[series] = usual
        return np.where(self._seen[series] >= DISTRIBUTED, np.maximum(apart, 0.0), np.nan)


def _shifted(ring: Reals, series: Indices, newest: Reals) -> Reals:
    """The rows of these series with the newest at their end, which are also put back."""
    rows = ring[series]
    rows[:, :-1] = rows[:, 1:]
    rows[:, -1] = newest
    ring[series] = rows
    return rows
