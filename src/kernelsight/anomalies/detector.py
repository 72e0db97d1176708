"""Scores every observation of many series at once, in one pass, from small bounded state.

An observation is standardised by its series' baseline, after what happens every day at this time is taken off; the
last few are compared with the shapes the series has had; how rare each distance is, is read from the distribution
of distances so far; and the score is the mean over all lengths of shapes of minus the decimal logarithm of that. All
lengths have to agree for a high score, so it is stricter than it looks: of 78,000 observations of noise none has 2.5.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from kernelsight.anomalies.arrays import Flags, Indices, Ints, Reals
from kernelsight.anomalies.baselines import REFRESH, Baselines
from kernelsight.anomalies.daily import DailyBands
from kernelsight.anomalies.flatness import Flatness
from kernelsight.anomalies.shapes import LENGTHS, Shapes
from kernelsight.anomalies.tails import Tails

_LEAST_DISTANCE = 0.1
"""In spreads; what is nearer to something known is no news, however rare."""
_LARGEST = 1e30
"""Larger values count as this; the square of what is kept stays finite, also in single precision."""


@dataclass(frozen=True, slots=True)
class Scores:
    """What one step says, one entry for each observation that was given and is a number."""

    series: Indices
    values: Reals
    score: Reals
    flat: Flags
    """The score is that of standing still."""
    distance: Reals
    """From the baseline's level, in spreads."""
    outside: Reals
    """Observations in a row outside the baseline, negative below it."""
    moved: Flags
    """The baseline starts anew with this observation: the series stays where it went."""


class Detector:
    """The state of some series."""

    def __init__(self, least_spreads: Reals, phases: Ints | None = None) -> None:
        """Start with no knowledge of as many series as there are least spreads.

        Args:
            least_spreads: the least that matters, in each series' own unit; 0 where everything does.
            phases: by how many observations the costlier work on each series is put off; none by default.
        """
        count = len(least_spreads)
        phases = np.zeros(count, np.int64) if phases is None else phases
        self.baselines = Baselines(least_spreads, phases)
        self._daily = DailyBands(count)
        self._shapes = Shapes(phases)
        self._tails = Tails(count, len(LENGTHS))
        self._flatness = Flatness(count)

    def step(self, series: Indices, at_s: float | Reals, values: Reals) -> Scores:
        """Judge one observation of some series, then learn it.

        Args:
            series: which, each at most once.
            at_s: when, in seconds since the epoch.
            values: what; those that are not finite are passed over as missing.
        """
        there = np.isfinite(values)
        series, values = series[there], np.clip(values[there], -_LARGEST, _LARGEST)
        at = np.broadcast_to(np.asarray(at_s, np.float64), there.shape)[there]
        base = self.baselines
        self._daily.learn(series, at, values)
        usual = self._daily.without(series, values, base.level[series], base.spread[series])
        distance = base.standardised(series, usual)
        score = self._novelty(series, distance)
        still = self._flatness.step(series, values, base.seen[series])
        due, moved = base.learn(series, usual, distance)
        if due.any():
            self._tails.refresh(series[due], REFRESH)
        return Scores(
            series=series,
            values=values,
            score=np.maximum(score, still),
            flat=np.asarray(still > score),
            distance=distance,
            outside=base.outside[series].astype(np.float64),
            moved=moved,
        )

    def _novelty(self, series: Indices, distance: Reals) -> Reals:
        score = np.zeros(len(series))
        ready = np.flatnonzero(self.baselines.ready(series))
        if not len(ready):
            return score
        known = series[ready]
        apart = self._shapes.distances(known, distance[ready])
        rare = self._tails.scores(known, apart)
        score[ready] = np.where(apart >= _LEAST_DISTANCE, rare, 0.0).mean(axis=1)
        # An excursion is one event, however long: its later observations count less and less as experience.
        self._tails.learn(known, apart, 1.0 / np.maximum(1, np.abs(self.baselines.outside[known])))
        return score
