"""From scores to episodes: when an anomaly of one series began, how far it went, what it is, when it was over."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Literal

import numpy as np

from kernelsight.anomalies.baselines import Baselines
from kernelsight.anomalies.detector import Scores

Shape = Literal["spike", "shift", "flat", "pattern"]
Direction = Literal["up", "down"]

_FAR_OUTSIDE = 8
"""So many observations in a row outside its baseline, and a series is not calm again."""


@dataclass(slots=True)
class AnomalyEpisode:
    """One anomaly of one series. Times are those of observations, in ns since the epoch."""

    series: int
    start_ns: int
    score: float
    """The greatest so far."""
    value: float
    """At the greatest score."""
    distance: float
    """Of that value from the level, in spreads."""
    low: float
    """What was usual when it began, from here …"""
    high: float
    """… to here."""
    level: float
    shape: Shape
    last_ns: int
    """The last observation that was odd, or far outside for some time."""
    observations: int = 1
    """Odd ones."""
    end_ns: int | None = None
    calm: int = field(default=0, repr=False)

    @property
    def direction(self) -> Direction | None:
        """Where the value went from its level; None where that is not what is odd."""
        if self.shape in {"flat", "pattern"}:
            return None
        return "up" if self.value > self.level else "down"


@dataclass(frozen=True, slots=True)
class Sensitivity:
    """What counts as an anomaly."""

    threshold: float
    """Score from which an observation is odd; see :mod:`kernelsight.anomalies.detector`."""
    calm: int = 72
    """Observations without oddity after which an episode is over."""


class Episodes:
    """The open episodes of some series."""

    def __init__(self, baselines: Baselines, sensitivity: Sensitivity) -> None:
        self._baselines = baselines
        self._sensitivity = sensitivity
        self._open: dict[int, AnomalyEpisode] = {}

    @property
    def open(self) -> list[AnomalyEpisode]:
        """Those that have begun and are not over."""
        return list(self._open.values())

    def step(self, at_ns: int, scores: Scores) -> tuple[list[AnomalyEpisode], list[AnomalyEpisode]]:
        """Take the scores of one moment.

        Returns:
            the episodes that begin, and those that are over.
        """
        odd = scores.score >= self._sensitivity.threshold
        if not self._open and not odd.any():
            return [], []
        begun: list[AnomalyEpisode] = []
        over: list[AnomalyEpisode] = []
        place = {int(series): row for row, series in enumerate(scores.series)} if self._open else {}
        for series in [series for series in self._open if series in place]:
            if self._goes_on(self._open[series], place[series], at_ns, scores, odd=bool(odd[place[series]])):
                continue
            over.append(self._open.pop(series))
        closed = {episode.series for episode in over}
        for row in np.flatnonzero(odd):
            series = int(scores.series[row])
            if series not in self._open and series not in closed:
                self._open[series] = self._begin(int(row), at_ns, scores)
                begun.append(self._open[series])
        return begun, over

    def _begin(self, row: int, at_ns: int, scores: Scores) -> AnomalyEpisode:
        series, base = int(scores.series[row]), self._baselines
        return AnomalyEpisode(
            series=series,
            start_ns=at_ns,
            score=float(scores.score[row]),
            value=float(scores.values[row]),
            distance=float(scores.distance[row]),
            low=float(base.low[series]),
            high=float(base.high[series]),
            level=float(base.level[series]),
            shape=self._shape(row, scores),
            last_ns=at_ns,
        )

    def _goes_on(self, episode: AnomalyEpisode, row: int, at_ns: int, scores: Scores, *, odd: bool) -> bool:
        if odd:
            episode.observations += 1
            if scores.score[row] > episode.score:
                episode.score = float(scores.score[row])
                episode.value = float(scores.values[row])
                episode.distance = float(scores.distance[row])
            if episode.shape == "pattern":
                episode.shape = self._shape(row, scores)
        if scores.moved[row]:  # it stays where it went: that is the new usual, and the anomaly was the going there
            episode.shape, episode.end_ns = "shift", at_ns
            return False
        calm = not odd and abs(scores.outside[row]) < _FAR_OUTSIDE
        episode.calm = episode.calm + 1 if calm else 0
        if not calm:
            episode.last_ns = at_ns
        if episode.calm >= self._sensitivity.calm:
            episode.end_ns = episode.last_ns
            return False
        return True

    def _shape(self, row: int, scores: Scores) -> Shape:
        if scores.flat[row]:
            return "flat"
        series, value = int(scores.series[row]), scores.values[row]
        return "pattern" if self._baselines.low[series] <= value <= self._baselines.high[series] else "spike"
