"""Series with known contents, and what the detector says of them."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass

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


@dataclass(frozen=True)
class Course:
    """A series, an observation a second, and how it is looked at."""

    values: np.ndarray
    sensitivity: Sensitivity = SENSITIVITY
    least: float = 0.0


def episodes_of_each(courses: Mapping[str, Course]) -> dict[str, list[AnomalyEpisode]]:
    """The episodes of each series; one detector sees all, each as if it were alone, which takes as long as one."""
    length = max(len(course.values) for course in courses.values())
    table = np.full((length, len(courses)), np.nan)
    for column, course in enumerate(courses.values()):
        table[: len(course.values), column] = course.values
    detector = Detector(np.array([course.least for course in courses.values()]))
    looks = {course.sensitivity: Episodes(detector.baselines, course.sensitivity) for course in courses.values()}
    over: dict[Sensitivity, list[AnomalyEpisode]] = {sensitivity: [] for sensitivity in looks}
    everyone = np.arange(len(courses))
    for row, line in enumerate(table):
        scores = detector.step(everyone, float(row), line)
        for sensitivity, look in looks.items():
            over[sensitivity].extend(look.step(row * SECOND, scores)[1])
    return {
        name: sorted(
            (
                episode
                for episode in (*over[course.sensitivity], *looks[course.sensitivity].open)
                if episode.series == column
            ),
            key=lambda episode: episode.start_ns,
        )
        for column, (name, course) in enumerate(courses.items())
    }


def starts(found: list[AnomalyEpisode], every_s: float = 1.0) -> list[int]:
    """The rows at which episodes begin."""
    return [round(one.start_ns / SECOND / every_s) for one in found]
