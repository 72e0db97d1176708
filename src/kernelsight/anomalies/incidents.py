"""From episodes to incidents: what began together is one incident, its strongest series named first."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

from kernelsight.anomalies.episodes import AnomalyEpisode

TOGETHER_NS = 10_000_000_000
"""Onsets this close to the first one belong to it; a cause needs some seconds to reach averages and queues."""


@dataclass(frozen=True, slots=True)
class Incident:
    """Episodes that began together, greatest score first."""

    onset_ns: int
    episodes: tuple[AnomalyEpisode, ...]

    @property
    def end_ns(self) -> int | None:
        """When the last of them was over; None while one is open."""
        ends = [episode.end_ns for episode in self.episodes]
        return None if None in ends else max(end for end in ends if end is not None)


class Onsets:
    """Which incident an episode that begins belongs to; asked in the order of time."""

    def __init__(self) -> None:
        self._first_ns: int | None = None

    def incident(self, start_ns: int) -> int:
        """The onset of the incident of an episode that begins at this moment."""
        if self._first_ns is None or not 0 <= start_ns - self._first_ns <= TOGETHER_NS:
            self._first_ns = start_ns
        return self._first_ns


def grouped(episodes: Iterable[AnomalyEpisode]) -> list[Incident]:
    """All incidents of some episodes, by their onset."""
    onsets = Onsets()
    members: dict[int, list[AnomalyEpisode]] = {}
    for episode in sorted(episodes, key=lambda episode: (episode.start_ns, episode.series)):
        members.setdefault(onsets.incident(episode.start_ns), []).append(episode)
    return [
        Incident(
            onset,
            tuple(sorted(episodes_begun, key=lambda episode: (-episode.score, -abs(episode.distance), episode.series))),
        )
        for onset, episodes_begun in members.items()
    ]
