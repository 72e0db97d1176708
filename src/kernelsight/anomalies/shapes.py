"""How unlike everything before the last few observations are: distances to the nearest remembered shapes.

The nearest-neighbour anomaly detector of time series (Burnaev and Ishimtsev, "Conformalized density- and
distance-based anomaly detection in time-series data", 2016), over embeddings of several lengths at once: a single
odd value shows in the short ones, an odd course in the long ones.
"""

from __future__ import annotations

import numpy as np

from kernelsight.anomalies.arrays import Indices, Ints, Reals, Singles

LENGTHS = (2, 4, 8, 16)
REFERENCES = 128
_STRIDE = 8.09
"""Observations between two remembered shapes: five golden ratios, so that no rhythm is met in the same places only."""
_LEAST = 16
NEIGHBOUR = 3
"""Which of the nearest counts: one or two like it may be the same anomaly."""
_CLIP = 20.0
_BLOCK = 64
"""Series at a time, so that the differences stay in the processor's cache."""


def folded(standardised: Reals) -> Reals:
    """The inverse hyperbolic sine of distances in spreads: nearly linear within the usual range, logarithmic beyond."""
    return np.asarray(np.arcsinh(np.clip(standardised, -_CLIP, _CLIP)))


class Shapes:
    """The remembered shapes of each series, the longest length of observations each; shorter ones are their ends."""

    def __init__(self, phases: Ints) -> None:
        """Start with no knowledge; ``phases`` put off when each series remembers, so that not all do at once."""
        count, longest = len(phases), LENGTHS[-1]
        self._recent = np.full((count, longest), np.nan, np.float32)
        # The last axis runs over the shapes, so that sums over observations are sums of whole rows.
        self._remembered = np.full((count, longest, REFERENCES), np.inf, np.float32)
        self._phases = phases
        self._kept = np.zeros(count, np.int64)
        self._seen = np.zeros(count, np.int64)

    def distances(self, series: Indices, values: Reals) -> Reals:
        """Mean distance of the last observations from the third nearest shape, for each of :data:`LENGTHS`.

        Args:
            series: which, each at most once.
            values: their next observations, :func:`folded`.

        Returns:
            one row a series; NaN until there are enough shapes to compare with.
        """
        recent = self._recent[series]
        recent[:, :-1] = recent[:, 1:]
        recent[:, -1] = values
        self._recent[series] = recent
        self._seen[series] += 1
        distances = np.full((len(series), len(LENGTHS)), np.nan)
        for first in range(0, len(series), _BLOCK):
            block = slice(first, first + _BLOCK)
            enough = np.flatnonzero(self._kept[series[block]] >= _LEAST)
            if len(enough):
                distances[first + enough] = self._nearest(series[block][enough], recent[block][enough])
        self._remember(series, recent)
        return distances

    def _nearest(self, series: Indices, recent: Singles) -> Reals:
        kept = min(REFERENCES, int(self._kept[series].max()))
        remembered = self._remembered[series] if kept == REFERENCES else self._remembered[series, :, :kept]
        apart = np.abs(remembered - recent[:, :, None])
        distances = np.empty((len(series), len(LENGTHS)))
        total = np.zeros((len(series), kept), np.float32)
        before = 0
        for column, length in enumerate(LENGTHS):
            total += apart[:, LENGTHS[-1] - length : LENGTHS[-1] - before].sum(axis=1)
            distances[:, column] = np.partition(total, NEIGHBOUR - 1, axis=1)[:, NEIGHBOUR - 1] / length
            before = length
        return distances

    def _remember(self, series: Indices, recent: Singles) -> None:
        due = (self._seen[series] >= LENGTHS[-1]) & (((self._seen[series] + self._phases[series]) % _STRIDE) < 1.0)
        chosen = series[due]
        self._remembered[chosen, :, self._kept[chosen] % REFERENCES] = recent[due]
        self._kept[chosen] += 1
