"""From a store to anomalies: learn what came before a range, then say what in it was unusual."""

from __future__ import annotations

import zlib
from collections.abc import Iterable, Iterator

import numpy as np

from kernelsight.anomalies.detector import Detector
from kernelsight.anomalies.episodes import AnomalyEpisode, Episodes, Sensitivity
from kernelsight.anomalies.incidents import Incident, grouped
from kernelsight.anomalies.settings import LEARN_MINUTES, MOST_SERIES, THRESHOLD
from kernelsight.anomalies.watched import Name, Watched, pieces, points, present, watch
from kernelsight.events.anomaly import Anomaly
from kernelsight.query.source import Source, opened
from kernelsight.query.times import TimeRange
from kernelsight.stores.base import Reader

LEARN_NS = LEARN_MINUTES * 60_000_000_000
_GRID_NS = 1_000_000_000
_SECOND = 1e9

Moment = tuple[int, list[int], list[float]]
"""When, which series, their values."""


class Replay:
    """The detector over some series of a store, fed in the order of time."""

    def __init__(self, watched: Watched, sensitivity: Sensitivity) -> None:
        self._watched = watched
        least = np.array([name.least / 3 for name in watched.names])  # outside is three spreads
        # A series' name decides when its costly steps fall due, so that the same series gets the same scores in
        # whichever company.
        phases = np.array([zlib.crc32(str(name).encode()) % 1024 for name in watched.names], np.int64)
        self._detector = Detector(least, phases)
        self._episodes = Episodes(self._detector.baselines, sensitivity)
        self._over: list[AnomalyEpisode] = []

    def feed(self, reader: Reader, when: TimeRange) -> None:
        """Take all points of a range, which must follow the ranges before."""
        for at_ns, series, values in moments(reader, self._watched, when):
            scores = self._detector.step(np.array(series, np.intp), at_ns / _SECOND, np.array(values))
            self._over.extend(self._episodes.step(at_ns, scores)[1])

    def take_over(self) -> list[AnomalyEpisode]:
        """Those that are over, once."""
        over, self._over = self._over, []
        return over

    @property
    def open(self) -> list[AnomalyEpisode]:
        """Those that are not over."""
        return self._episodes.open

    def episodes(self) -> list[AnomalyEpisode]:
        """Those that are over and those that are open."""
        return [*self._over, *self._episodes.open]


def detect(
    source: Source,
    when: TimeRange,
    *,
    learn_ns: int = LEARN_NS,
    sensitivity: Sensitivity | None = None,
    most_series: int = MOST_SERIES,
) -> list[Anomaly]:
    """The anomalies that began in a range, those of one incident together, the strongest of it first.

    Args:
        source: the store.
        when: the range.
        learn_ns: how long before the range to begin learning.
        sensitivity: what counts as one.
        most_series: bound of the series that are watched.

    Raises:
        StoreError: the store cannot be read.
    """
    start = max(0, when.start_ns - learn_ns)
    with opened(source) as reader:
        whole = present(reader, TimeRange(start, when.end_ns))
        if whole is None:
            return []
        watched = watch(reader, whole, most_series)
        replay = Replay(watched, sensitivity or Sensitivity(THRESHOLD))
        for part in pieces(whole):
            replay.feed(reader, part)
    begun = [episode for episode in replay.episodes() if episode.start_ns >= when.start_ns]
    return [anomaly for incident in grouped(begun) for anomaly in anomalies(incident, watched.names)]


def anomalies(incident: Incident, names: tuple[Name, ...]) -> Iterator[Anomaly]:
    """The rows of one incident."""
    for episode in incident.episodes:
        name = names[episode.series]
        yield Anomaly(
            timestamp=episode.start_ns,
            incident=incident.onset_ns,
            table_name=name.table,
            metric=name.metric,
            entity=name.entity,
            unit=name.unit or None,
            kind=episode.shape,
            direction=episode.direction,
            end_ns=episode.end_ns,
            score=round(episode.score, 3),
            value=episode.value,
            low=episode.low,
            high=episode.high,
            observations=episode.observations,
        )


def moments(reader: Reader, watched: Watched, when: TimeRange) -> Iterator[Moment]:
    """The values of the watched series, second by second; of two in one second the last counts."""
    grid: dict[int, tuple[int, dict[int, float]]] = {}
    for kind in watched.kinds():
        entities = watched.rows[kind.table]
        metrics = sorted({metric for series in entities.values() for metric in series})
        for timestamp, row in points(reader, kind, when, metrics):
            series = entities.get(tuple(row[name] for name in kind.entity))
            if series is None:
                continue
            _, values = grid.setdefault(timestamp // _GRID_NS, (timestamp, {}))
            values.update(_numbers((number, row[metric]) for metric, number in series.items()))
    for _, (timestamp, values) in sorted(grid.items()):
        if values:
            yield timestamp, list(values), list(values.values())


def _numbers(entries: Iterable[tuple[int, object]]) -> Iterator[tuple[int, float]]:
    return ((number, float(value)) for number, value in entries if isinstance(value, (int, float)))
