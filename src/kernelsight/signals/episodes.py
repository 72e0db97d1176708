"""From values to episodes: hysteresis and de-duplication, one episode at a time for each rule and entity.

An episode begins with the first of the values that stay at or above the rule's threshold for
``raise_after_s``, and is over when none has been at or above ``clear_below`` for ``clear_after_s``.
An entity that is not seen any more is one whose values are low. What is found depends on the values
and their stamps alone, not on how many come at once.
"""

from __future__ import annotations

from collections.abc import Container, Iterable, Mapping
from dataclasses import dataclass, field

from kernelsight.events.fields import name_of
from kernelsight.events.signal import Signal
from kernelsight.query.rows import entity_text
from kernelsight.signals.model import LOOKBACK_S, SECOND_NS, Rule
from kernelsight.stores.base import Value

Key = tuple[Value, ...]
"""The values of the columns that make an entity."""
Row = dict[str, Value]


@dataclass(slots=True)
class Episode:
    """Values of one rule and entity that may be, are, or were a symptom."""

    rule: Rule
    entity: str | None
    first_ns: int
    last_ns: int
    worst: float
    worst_ns: int
    labels: Row = field(default_factory=dict)
    """Columns of the worst row that the summary names."""
    count: int = 1
    raised: bool = False
    over: bool = False
    said: str | None = None
    """The summary, where it is known from the store and the labels are not."""
    stored: int = 0
    """Its count when it was stored last."""

    def signal(self) -> Signal:
        """Its row."""
        rule, labels = self.rule, self.labels
        summary = self.said if self.said is not None else rule.said(self.worst, _shown(labels))
        pid, comm = labels.get(name_of(Signal.pid)), labels.get(name_of(Signal.comm))
        return Signal(
            timestamp=self.first_ns,
            rule=rule.name,
            subject=rule.subject,
            severity=rule.severity(self.worst),
            scope=rule.scope,
            entity=self.entity,
            pid=pid if isinstance(pid, int) else None,
            comm=comm if isinstance(comm, str) else None,
            summary=summary,
            last_seen_ns=self.last_ns,
            end_ns=self.last_ns if self.over else None,
            count=self.count,
            table_name=rule.kind.table,
            metric=str(rule.measure),
            unit=rule.measure.unit,
            value=self.worst,
            value_ns=self.worst_ns,
            threshold=rule.raise_at,
        )


def _shown(labels: Row) -> Row:
    return {name: "?" if value is None else value for name, value in labels.items()}


class Episodes:
    """All episodes that are not over, of any rules; those that are over are handed out once."""

    def __init__(self) -> None:
        self._tracks: dict[tuple[str, Key], Episode] = {}
        self._restored: dict[tuple[str, str | None], Episode] = {}
        self._over: list[Episode] = []

    def restore(self, signals: Iterable[Signal], rules: Mapping[str, Rule]) -> None:
        """Go on with the episodes that these rows of the store are, instead of what was taken for them so far."""
        for row in signals:
            rule = rules.get(row.rule or "")
            if rule is not None and row.last_seen_ns is not None and row.value is not None:
                self._restored[rule.name, row.entity] = _restored(rule, row, row.last_seen_ns, row.value)
        known = self._restored.keys()
        self._tracks = {place: track for place, track in self._tracks.items() if (place[0], track.entity) not in known}

    def take(self, rule: Rule, key: Key, at_ns: int, value: float, row: Row) -> None:
        """Take a value; those of one rule and entity come in the order of time."""
        place = rule.name, key
        episode = self._tracks.get(place)
        if episode is None:
            if self._restored:
                episode = self._resumed(rule, key)
            elif value < rule.raise_at:
                return
        if episode is not None and _has_lapsed(episode, at_ns):
            self._end(place, episode)
            episode = None
        if episode is None:
            if value >= rule.raise_at:
                self._begin(rule, key, at_ns, value, row)
            return
        if value < (rule.clear_below if episode.raised else rule.raise_at):
            if not episode.raised:
                del self._tracks[place]
            return
        _go_on(episode, at_ns, value, row)

    def _begin(self, rule: Rule, key: Key, at_ns: int, value: float, row: Row) -> None:
        episode = Episode(rule, entity_text(rule.kind, rule.by, key), at_ns, at_ns, value, at_ns, _named(rule, row))
        episode.raised = rule.raise_after_s == 0
        self._tracks[rule.name, key] = episode

    def _resumed(self, rule: Rule, key: Key) -> Episode | None:
        episode = self._restored.pop((rule.name, entity_text(rule.kind, rule.by, key)), None)
        if episode is not None:
            self._tracks[rule.name, key] = episode
        return episode

    def _end(self, place: tuple[str, Key], episode: Episode) -> None:
        del self._tracks[place]
        if episode.raised:
            episode.over = True
            self._over.append(episode)

    def advance(self, now_ns: int) -> None:
        """All values up to this moment have been taken: end what has not gone on for long enough."""
        for place, episode in list(self._tracks.items()):
            if _has_lapsed(episode, now_ns):
                self._end(place, episode)
        for known, episode in list(self._restored.items()):
            if _has_lapsed(episode, now_ns):
                episode.over = True
                self._over.append(self._restored.pop(known))

    def forget_over(self) -> None:
        """Those that are over have been stored, or are of no interest."""
        self._over = []

    @property
    def over(self) -> list[Episode]:
        """Those that are over, since they were forgotten last."""
        return self._over

    @property
    def tracked(self) -> Container[tuple[str, Key]]:
        """Rules and entities that have an episode, or may have one soon."""
        return self._tracks

    @property
    def open(self) -> list[Episode]:
        """Those that are symptoms and not over."""
        return [track for track in (*self._tracks.values(), *self._restored.values()) if track.raised]

    @property
    def earliest_ns(self) -> int | None:
        """When the first of those began that are symptoms, or may become one."""
        return min((track.first_ns for track in (*self._tracks.values(), *self._restored.values())), default=None)


def _restored(rule: Rule, row: Signal, last_ns: int, worst: float) -> Episode:
    return Episode(
        rule=rule,
        entity=row.entity,
        first_ns=row.timestamp,
        last_ns=last_ns,
        worst=worst,
        worst_ns=row.value_ns or last_ns,
        labels={name_of(Signal.pid): row.pid, name_of(Signal.comm): row.comm},
        count=row.count or 1,
        raised=True,
        said=row.summary,
        stored=row.count or 1,
    )


def _go_on(episode: Episode, at_ns: int, value: float, row: Row) -> None:
    episode.last_ns = max(at_ns, episode.last_ns)
    episode.count += 1
    if value > episode.worst:
        episode.worst, episode.worst_ns = value, at_ns
        episode.labels, episode.said = _named(episode.rule, row), None
    if not episode.raised:
        episode.raised = at_ns - episode.first_ns >= episode.rule.raise_after_s * SECOND_NS


def _has_lapsed(episode: Episode, now_ns: int) -> bool:
    """Whether it cannot go on at this moment, or after it: too long ago was its last value."""
    if episode.raised:
        return now_ns - episode.last_ns > episode.rule.clear_after_s * SECOND_NS
    if episode.rule.sparse:  # it must be high in each second
        return now_ns // SECOND_NS - episode.last_ns // SECOND_NS > 1
    return now_ns - episode.last_ns > LOOKBACK_S * SECOND_NS


def _named(rule: Rule, row: Row) -> Row:
    """What a signal shows of the row that is worst."""
    return {name: row[name] for name in (*rule.by, *rule.labels)}
