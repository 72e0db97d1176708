"""Anomalies as they happen, beside the daemon that stores the series.

What is usual is not stored: whoever begins learns it from the half hour before. A row is written when an
anomaly begins and replaced when it is over; how far the series have been looked at is kept with the rows, so that
the next one finds nothing twice. Where that lies ahead of this machine's clock, because the clock was set back, it
begins anew with the rows that came since.
"""

from __future__ import annotations

from typing import Self

import msgspec

from kernelsight.anomalies.episodes import AnomalyEpisode, Sensitivity
from kernelsight.anomalies.incidents import Incident, Onsets
from kernelsight.anomalies.replay import LEARN_NS, Replay, anomalies
from kernelsight.anomalies.settings import MOST_SERIES, THRESHOLD
from kernelsight.anomalies.watched import Name, pieces, sampled, watch
from kernelsight.events.anomaly import Anomaly
from kernelsight.events.declare import INT64_MAX, kind_of
from kernelsight.events.wire import kinds
from kernelsight.query.arrivals import LaterRows, first_stamp, last_ids, quiet_until
from kernelsight.query.filters import Filter
from kernelsight.query.rows import event_of, rows_of
from kernelsight.query.source import AHEAD_NS, extent
from kernelsight.query.times import TimeRange, parse_time
from kernelsight.stores.base import Reader, Replacement, open_deriver, open_reader

_NAME = "anomalies"
_SECOND_NS = 1_000_000_000
_PATIENCE_NS = 3 * _SECOND_NS
"""How far behind the latest row it stays; what comes later than this it does not see."""
_FIRST_CHOICE_NS = 60 * _SECOND_NS
_LAST_CHOICE_NS = 3600 * _SECOND_NS
"""Which series there are is asked again after a minute, four, sixteen, and then every hour, as it takes seconds."""
_OLDEST_NS = 7 * 86_400 * _SECOND_NS
_KEYS = ("timestamp", "table_name", "metric", "entity")

Series = tuple[str, str, str | None]
"""Table, metric, entity."""


class AnomalyProgress(msgspec.Struct, frozen=True):
    """How far the series have been looked at."""

    until_ns: int
    seen: dict[str, int] = {}
    """Table → the greatest id that there was at the last look."""
    after: dict[str, int] = {}
    """Table → the last id of before the clock was set back; those rows are left alone."""


class Live:
    """The detector over a store that grows."""

    def __init__(self, url: str, most_series: int = MOST_SERIES) -> None:
        self._most_series = most_series
        self._deriver = open_deriver(url)
        self._all_rows: Reader = open_reader(url)
        self._tables = [kind.table for kind in kinds().values() if sampled(kind)]
        self._names: tuple[Name, ...] = ()
        self._onsets = Onsets()
        self.behind_ns = 0
        """It takes all that there is."""
        self._resume()

    def _resume(self) -> None:
        """Go on where the store says, with nothing learned."""
        self._text = self._deriver.progress(_NAME)
        progress = msgspec.json.decode(self._text, type=AnomalyProgress) if self._text else AnomalyProgress(0)
        self._until_ns, self._seen = progress.until_ns, progress.seen
        self._show(progress.after)
        self._replay: Replay | None = None
        self._choice_ns, self._next_choice_ns = 0, _FIRST_CHOICE_NS
        self._fresh_ns = self._until_ns
        """What began before this was told of by somebody else, or will not be."""
        self._open = self._stored_open()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self._all_rows.close()
        self._deriver.close()

    def look(self, *, last: bool = False) -> list[Anomaly]:
        """Take what has come: all of it at the last look, otherwise what late rows will hardly belong to.

        Returns:
            the anomalies that began or are over.

        Raises:
            StoreError: the store cannot be read or written.
        """
        self._follow_clock_back(parse_time("now"))
        self._seen = last_ids(self._all_rows, self._tables)
        whole = extent(self._reader, self._tables)
        if whole is None:
            return []
        end_ns = (whole.end_ns - (0 if last else _PATIENCE_NS)) // _SECOND_NS * _SECOND_NS
        if self._until_ns == 0:
            self._until_ns = max(whole.start_ns, end_ns - LEARN_NS) // _SECOND_NS * _SECOND_NS
        if end_ns <= self._until_ns:
            return []
        self._pass_over_gap(end_ns)
        if self._replay is None or end_ns >= self._choice_ns + self._next_choice_ns:
            self._choose(TimeRange(max(whole.start_ns, self._until_ns - LEARN_NS), end_ns - 1))
        assert self._replay is not None
        self._feed(self._replay, TimeRange(self._until_ns, end_ns - 1))
        self._until_ns = end_ns
        changed = self._changed(self._replay)
        return changed if self._store(changed) else []

    def _show(self, after: dict[str, int]) -> None:
        """Read all rows, or those that came after these."""
        self._after = after
        self._reader = LaterRows(self._all_rows, after) if after else self._all_rows

    def _follow_clock_back(self, now_ns: int) -> None:
        """Where what was looked at lies ahead of the clock, and rows have come since: look at those alone."""
        if self._until_ns <= now_ns + AHEAD_NS:
            return
        first_ns = first_stamp(LaterRows(self._all_rows, self._seen), self._tables)
        if first_ns is None or first_ns > now_ns + AHEAD_NS:
            return
        ahead = last_ids(self._all_rows, self._tables, from_ns=now_ns + AHEAD_NS)
        self._show({table: max(self._seen.get(table, 0), ahead.get(table, 0)) for table in {*self._seen, *ahead}})
        self._until_ns = self._fresh_ns = 0
        self._replay, self._open = None, {}
        self._choice_ns, self._next_choice_ns = 0, _FIRST_CHOICE_NS

    def _pass_over_gap(self, end_ns: int) -> None:
        """Where nothing was recorded for long, go to what was, with nothing learned."""
        if end_ns - self._until_ns <= LEARN_NS:
            return
        next_ns = quiet_until(self._reader, self._tables, self._until_ns, end_ns) // _SECOND_NS * _SECOND_NS
        if next_ns - self._until_ns > LEARN_NS:
            self._until_ns, self._replay, self._choice_ns = next_ns, None, 0

    def _choose(self, recent: TimeRange) -> None:
        """Choose the series to watch, and learn what was usual of them so far."""
        if self._choice_ns:
            self._next_choice_ns = min(4 * self._next_choice_ns, _LAST_CHOICE_NS)
        self._choice_ns, self._fresh_ns = recent.end_ns, self._until_ns
        watched = watch(self._reader, recent, self._most_series)
        self._names = watched.names
        self._replay = Replay(watched, Sensitivity(THRESHOLD))
        if recent.start_ns < self._until_ns:
            self._feed(self._replay, TimeRange(recent.start_ns, self._until_ns - 1))
            self._replay.take_over()

    def _feed(self, replay: Replay, when: TimeRange) -> None:
        for piece in pieces(when):
            replay.feed(self._reader, piece)

    def _changed(self, replay: Replay) -> list[Anomaly]:
        """Rows of what has begun, and of what is over."""
        changed = [self._over(episode) for episode in replay.take_over()]
        going_on = {self._series(episode) for episode in replay.open}
        # One that was going on, and is not for a detector that has learned anew: it was over when that began.
        changed += [
            msgspec.structs.replace(self._open.pop(series), end_ns=self._fresh_ns)
            for series in [*self._open]
            if series not in going_on
        ]
        for episode in sorted(replay.open, key=lambda episode: (episode.start_ns, episode.series)):
            if self._series(episode) not in self._open and episode.start_ns >= self._fresh_ns:
                row = self._open[self._series(episode)] = self._row(episode)
                changed.append(row)
        return [row for row in changed if row is not None]

    def _over(self, episode: AnomalyEpisode) -> Anomaly | None:
        """The row of one that is over; None where it began before this detector did, and was not told of."""
        before = self._open.pop(self._series(episode), None)
        if before is not None:
            return msgspec.structs.replace(
                self._row(episode, before.incident), timestamp=before.timestamp, incident=before.incident
            )
        return self._row(episode) if episode.start_ns >= self._fresh_ns else None

    def _row(self, episode: AnomalyEpisode, incident_ns: int | None = None) -> Anomaly:
        onset_ns = self._onsets.incident(episode.start_ns) if incident_ns is None else incident_ns
        [row] = anomalies(Incident(onset_ns, (episode,)), self._names)
        return row

    def _series(self, episode: AnomalyEpisode) -> Series:
        name = self._names[episode.series]
        return name.table, name.metric, name.entity

    def _store(self, changed: list[Anomaly]) -> bool:
        """Store what has changed; False where somebody else has stored meanwhile, and nothing was."""
        text = msgspec.json.encode(AnomalyProgress(self._until_ns, self._seen, self._after)).decode()
        stamps = [anomaly.timestamp for anomaly in changed]
        rows = [msgspec.structs.astuple(anomaly) for anomaly in changed]
        changes = [Replacement(Anomaly, rows, min(stamps), max(stamps), _KEYS)] if changed else []
        if not self._deriver.replace(_NAME, self._text, text, changes):
            self._resume()  # somebody else has looked meanwhile: the next look goes on from there
            return False
        self._text = text
        return True

    def _stored_open(self) -> dict[Series, Anomaly]:
        """The anomalies that were going on when somebody looked last."""
        columns = Anomaly.__struct_fields__[1:]
        everything = TimeRange(max(0, self._until_ns - _OLDEST_NS), INT64_MAX)
        stored = rows_of(
            self._reader, kind_of(Anomaly), everything, columns=columns, where=[Filter(Anomaly.end_ns, "=", None)]
        )
        rows = [event_of(Anomaly, row) for row in stored]
        return {(row.table_name or "", row.metric or "", row.entity): row for row in rows}
