"""Series with known contents, and what the detector says of them."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np

from kernelsight.anomalies.detector import Detector
from kernelsight.anomalies.episodes import AnomalyEpisode, Episodes, Sensitivity

SECOND = 1_000_000_000
MINUTE = 60
DAY = 86_400
SENSITIVITY = Sensitivity(2.4)
FINE = Sensitivity(1.9)


def noise(count: int, seed: int = 1, level: float = 100.0, deviation: float = 3.0) -> np.ndarray:
    return np.random.default_rng(seed).normal(level, deviation, count)


def episodes(
    values: np.ndarray,
    *,
    every_s: float = 1.0,
    sensitivity: Sensitivity = SENSITIVITY,
    least: float = 0.0,
    watch: Callable[[Detector], None] | None = None,
) -> list[AnomalyEpisode]:
    """All episodes of one series (a row a moment) or of several (a column each); NaN: no observation."""
    table = values.reshape(len(values), -1)
    count = table.shape[1]
    detector = Detector(np.full(count, least))
    found = Episodes(detector.baselines, sensitivity)
    over: list[AnomalyEpisode] = []
    for row, line in enumerate(table):
        scores = detector.step(np.arange(count), row * every_s, line)
        assert np.isfinite(scores.score).all()
        over.extend(found.step(round(row * every_s * SECOND), scores)[1])
        if watch:
            watch(detector)
    return sorted([*over, *found.open], key=lambda one: (one.start_ns, one.series))


def starts(found: list[AnomalyEpisode], every_s: float = 1.0) -> list[int]:
    """The rows at which episodes begin."""
    return [round(one.start_ns / SECOND / every_s) for one in found]
