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


class _Sums:
    """The last :data:`KEPT` numbers of each series, in a ring, and their sums over several lengths."""

    def __init__(self, count: int, lengths: tuple[int, ...]) -> None:
        self._lengths = np.array(lengths)
        self.ring = np.zeros((count, KEPT))
        self._sums = np.zeros((count, len(lengths)))

    def add(self, series: Indices, before: Ints, numbers: Reals) -> Reals:
        """Take one number of each series, which had so many before; a column a length, its sum."""
        leaving = self.ring[series[:, None], (before[:, None] - self._lengths) % KEPT]
        sums = np.asarray(self._sums[series] + numbers[:, None] - leaving)
        self._sums[series] = sums
        self.ring[series, before % KEPT] = numbers
        return sums

    def forget(self, series: Indices) -> None:
        self.ring[series] = self._sums[series] = 0.0


class Recent:
    """The last :data:`KEPT` observations of each series, and what of them is usual."""

    def __init__(self, count: int) -> None:
        self._values = _Sums(count, LEVELS)
        self._steps = _Sums(count, VARIATIONS)
        self._classes = np.full((count, DISTRIBUTED), -1, np.int8)
        self._seen: Ints = np.zeros(count, np.int64)
        """Observations since the recent past began; the next one goes to this place, modulo the length of the ring."""
        self._counts = np.zeros((count, len(_EDGES) + 1))
        self._usual_step = np.full((count, len(VARIATIONS)), np.nan)
        self._usual_shares = np.full((count, len(_EDGES) + 1), 1.0 / (len(_EDGES) + 1))

    def take(self, series: Indices, values: Reals) -> Reals:
        """Take one observation of each series, as :func:`kernelsight.anomalies.shapes.folded` gives it.

        Returns:
            one row a series: distances of the levels (in folded spreads), of the variations (differences of natural
            logarithms) and of the distribution (Kullback and Leibler's divergence, in nats); NaN while too
            little has been seen.
        """
        before = self._seen[series]
        last = self._values.ring[series, (before - 1) % KEPT]
        steps = np.where(before > 0, np.abs(values - last), 0.0)
        levels = np.abs(self._values.add(series, before, values)) / LEVELS
        sizes = np.maximum(self._steps.add(series, before, steps), 0.0) / VARIATIONS
        self._seen[series] = before + 1
        return np.column_stack(
            [
                np.where(before[:, None] + 1 >= LEVELS, levels, np.nan),
                self._variation(series, np.where(before[:, None] >= VARIATIONS, sizes, np.nan)),
                self._distribution(series, before, values),
            ]
        )

    def values(self, series: Indices) -> Reals:
        """The last :data:`KEPT` observations of each series, oldest first; NaN where there are not so many."""
        seen = self._seen[series, None]
        kept = self._values.ring[series[:, None], (seen + np.arange(KEPT)) % KEPT]
        return np.where(seen >= KEPT, kept, np.nan)

    def forget(self, series: Indices) -> None:
        """Begin the recent past anew, as their baselines have: what was kept was measured by the old ones.

        What is usual stays, so that a series that moves has not lost its habits.
        """
        self._values.forget(series)
        self._steps.forget(series)
        self._seen[series] = 0
        self._counts[series] = 0.0
        self._classes[series] = -1

    def _variation(self, series: Indices, sizes: Reals) -> Reals:
        now = np.log(sizes + _LEAST_STEP)
        usual = self._usual_step[series]
        known = usual + _USUAL_STEP_RATE * (np.where(np.isnan(now), usual, now) - usual)
        self._usual_step[series] = np.where(np.isnan(usual), now, known)
        return np.asarray(np.abs(now - usual))

    def _distribution(self, series: Indices, before: Ints, values: Reals) -> Reals:
        place = before % DISTRIBUTED
        oldest, new = self._classes[series, place], np.searchsorted(_EDGES, values)
        self._classes[series, place] = new
        left = oldest >= 0
        self._counts[series[left], oldest[left]] -= 1
        self._counts[series, new] += 1
        shares, usual = self._counts[series] / DISTRIBUTED, self._usual_shares[series]
        apart = (shares * np.log((shares + _LEAST_SHARE) / (usual + _LEAST_SHARE))).sum(axis=1)
        usual *= 1 - _USUAL_SHARE_RATE
        usual[np.arange(len(series)), new] += _USUAL_SHARE_RATE
        self._usual_shares[series] = usual
        return np.where(before + 1 >= DISTRIBUTED, np.maximum(apart, 0.0), np.nan)
