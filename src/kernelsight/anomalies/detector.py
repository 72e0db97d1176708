"""Scores every observation of many series at once, in one pass, from small bounded state.

An observation is standardised by its series' baseline, after what happens every day at this time is taken off. Twelve
weak witnesses then say how far it is from what they know: the last few observations from shapes the series has had,
the last while from courses, levels, variations and the distribution it has had, this half hour from other days'. How
rare each distance is, is read from the distribution of that witness' distances so far; the score is the root of the
mean square of minus the decimal logarithms of that. One witness alone reaches 3.5 at most, where all are heard.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from kernelsight.anomalies.arrays import Flags, Indices, Ints, Reals
from kernelsight.anomalies.baselines import REFRESH, Baselines
from kernelsight.anomalies.courses import Courses
from kernelsight.anomalies.daily import DailyBands
from kernelsight.anomalies.flatness import Flatness
from kernelsight.anomalies.recent import COLUMNS, Recent
from kernelsight.anomalies.shapes import LENGTHS, Shapes, folded
from kernelsight.anomalies.tails import Tails
from kernelsight.anomalies.timeofday import TimeOfDay

_WITNESSES = len(LENGTHS) + COLUMNS + 2
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
        self._recent = Recent(count)
        self._courses = Courses(phases)
        self._time_of_day = TimeOfDay(count)
        self._tails = Tails(count, _WITNESSES)
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
        score = self._novelty(series, at, distance, base.standardised(series, values))
        still = self._flatness.step(series, values, base.seen[series])
        due, moved = base.learn(series, usual, distance)
        if moved.any():
            for witness in (self._recent, self._courses, self._time_of_day):
                witness.forget(series[moved])
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

    def _novelty(self, series: Indices, at_s: Reals, distance: Reals, with_daily: Reals) -> Reals:
        score = np.zeros(len(series))
        ready = np.flatnonzero(self.baselines.ready(series))
        if not len(ready):
            return score
        known, usual = series[ready], folded(distance[ready])
        apart = np.column_stack(
            [
                self._shapes.distances(known, usual),
                self._recent.take(known, usual),
                self._courses.distances(known, self._recent),
                self._time_of_day.distances(known, at_s[ready], folded(with_daily[ready])),
            ]
        )
        rare = np.where(apart >= _LEAST_DISTANCE, self._tails.scores(known, apart), 0.0)
        heard = np.maximum((~np.isnan(apart)).sum(axis=1), 1)
        score[ready] = np.sqrt((rare**2).sum(axis=1) / heard)
        # An excursion is one event, however long: its later observations count less and less as experience.
        self._tails.learn(known, apart, 1.0 / np.maximum(1, np.abs(self.baselines.outside[known])))
        return score
