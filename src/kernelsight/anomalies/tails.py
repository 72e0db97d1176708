"""How rare a measured distance is for its series: a sketch of its distribution, continued beyond what was seen.

The sketch is a histogram over equal steps of the logarithm that forgets slowly. Within what has been seen, the
share above a distance is read from it; beyond its highest per cent it goes on as a power of the distance (the
estimator of Weissman, with Hill's exponent, which is shrunk towards a light tail while there is little to go by).
"""

from __future__ import annotations

import math

import numpy as np

from kernelsight.anomalies.arrays import Indices, Reals

MEMORY = 4000
"""Observations after which what was seen counts 1/e."""
_BINS = 96
_PER_DECADE = 12.0
_LOWEST = -2.0
"""Decimal logarithm of the distance where the first bin begins."""
_LEAST_SEEN = 100
_TAIL_SHARE = 0.01
_TAIL_LEAST = 20
_PRIOR = 0.3
_STEEPEST, _FLATTEST = 0.05, 3.0
_RAREST = 1e-12


class Tails:
    """Sketches of several distances of each series."""

    def __init__(self, count: int, distances: int) -> None:
        self._weights = np.zeros((count, distances, _BINS), np.float32)
        self._above = np.zeros((count, distances, _BINS + 1), np.float32)
        """How much lies at or above the lower edge of each bin, as of the last refresh."""
        self._tail = np.zeros((count, distances), np.int64)
        self._in_tail = np.ones((count, distances))
        self._exponent = np.ones((count, distances))
        self._columns = np.arange(distances)[None, :]

    def scores(self, series: Indices, distances: Reals) -> Reals:
        """Minus the decimal logarithm of the share of distances as large as these; 0 where nothing can be said."""
        known = ~np.isnan(distances)
        place = self._places(distances)
        bins = place.astype(np.intp)
        rows = series[:, None]
        lower, upper = self._above[rows, self._columns, bins], self._above[rows, self._columns, bins + 1]
        seen = lower + (upper - lower) * (place - bins)
        beyond = np.maximum(place - self._tail[series], 0.0) * (math.log(10) / _PER_DECADE)
        guessed = self._in_tail[series] * np.exp(-beyond / self._exponent[series])
        total = self._above[series, :, 0]
        share = np.where(place >= self._tail[series], guessed, seen) / (total + 1)
        scores = -np.log10(np.clip(share, _RAREST, 1.0))
        return np.where(known & (total >= _LEAST_SEEN), scores, 0.0)

    def learn(self, series: Indices, distances: Reals, weights: Reals) -> None:
        """Take one observation of each series, counted with its weight."""
        known = ~np.isnan(distances)
        bins = self._places(distances).astype(np.intp)
        self._weights[series[:, None], self._columns, bins] += np.where(known, weights[:, None], 0.0)

    def refresh(self, series: Indices, passed: int) -> None:
        """Make the sketches of these series current, so many observations after the last time."""
        weights = self._weights[series] * math.exp(-passed / MEMORY)
        self._weights[series] = weights
        above = np.cumsum(weights[:, :, ::-1], axis=2)[:, :, ::-1]
        self._above[series, :, :_BINS] = above
        enough = np.maximum(_TAIL_LEAST, _TAIL_SHARE * above[:, :, 0])
        tail = np.minimum((above > enough[:, :, None]).sum(axis=2), _BINS - 1)
        beyond = np.arange(_BINS) + 0.5 - tail[:, :, None]
        inside = np.where(beyond > 0, weights, 0.0)
        excess = (inside * beyond).sum(axis=2) * (math.log(10) / _PER_DECADE)
        self._tail[series] = tail
        self._in_tail[series] = np.maximum(np.take_along_axis(above, tail[:, :, None], axis=2)[:, :, 0], 0.5)
        self._exponent[series] = np.clip((excess + _PRIOR) / (inside.sum(axis=2) + 1), _STEEPEST, _FLATTEST)

    @staticmethod
    def _places(distances: Reals) -> Reals:
        """Positions in the histogram, fractions of bins included."""
        logarithm = np.log10(np.fmax(distances, 10**_LOWEST))  # of a NaN and the least, the least
        return np.asarray(np.clip((logarithm - _LOWEST) * _PER_DECADE, 0.0, _BINS - 1e-6))
