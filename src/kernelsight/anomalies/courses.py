"""How unlike everything before the course of the last while is: shapes of means, for what is too slow for single ones.

As in :mod:`kernelsight.anomalies.shapes`, over means of several observations: a cycle that is left out, or that comes
twice as fast, differs from what was before by its course only.
"""

from __future__ import annotations

import numpy as np

from kernelsight.anomalies.arrays import Indices, Ints, Reals
from kernelsight.anomalies.recent import KEPT, Recent
from kernelsight.anomalies.shapes import NEIGHBOUR, REFERENCES

MEANS = 16
_EACH = KEPT // MEANS
"""Observations a mean."""
_STRIDE = 2 * _EACH
"""Observations between two courses that are looked at, and remembered."""
_LEAST = 16


class Courses:
    """The remembered courses of each series."""

    def __init__(self, phases: Ints) -> None:
        """Start with no knowledge; ``phases`` put off when each series is looked at, so that not all are at once."""
        count = len(phases)
        self._phases = phases
        # The last axis runs over the courses, so that sums over means are sums of whole rows.
        self._remembered = np.full((count, MEANS, REFERENCES), np.inf, np.float32)
        self._kept = np.zeros(count, np.int64)
        self._seen = np.zeros(count, np.int64)
        self._distance = np.full(count, np.nan)

    def distances(self, series: Indices, recent: Recent) -> Reals:
        """Mean distance of the last course from the third nearest one, as of the last look.

        Args:
            series: which, each at most once.
            recent: their last observations.

        Returns:
            one number a series; NaN until there are enough courses to compare with, and a whole one to compare.
        """
        self._seen[series] += 1
        turn = self._seen[series] + self._phases[series]
        looked = np.flatnonzero((self._seen[series] >= KEPT) & (turn % _STRIDE == 0))
        if len(looked):
            self._look(series[looked], recent.values(series[looked]))
        return self._distance[series]

    def forget(self, series: Indices) -> None:
        """Of these series, the last course is none any more: it is measured by another baseline."""
        self._distance[series] = np.nan

    def _look(self, series: Indices, last: Reals) -> None:
        course = last.reshape(len(series), MEANS, _EACH).mean(axis=2).astype(np.float32)
        enough = self._kept[series] >= _LEAST
        if enough.any():
            known = series[enough]
            apart = np.abs(self._remembered[known] - course[enough][:, :, None]).sum(axis=1)
            self._distance[known] = np.partition(apart, NEIGHBOUR - 1, axis=1)[:, NEIGHBOUR - 1] / MEANS
        whole = ~np.isnan(course).any(axis=1)
        chosen = series[whole]
        self._remembered[chosen, :, self._kept[chosen] % REFERENCES] = course[whole]
        self._kept[chosen] += 1
