"""What a writer does between batches: close segments that are due, index them, correct their bounds."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path

import apsw

from kernelsight.stores.settled_clock import SettledClock
from kernelsight.stores.sqlite import ddl
from kernelsight.stores.sqlite import segments as segment_books
from kernelsight.stores.sqlite.checkpoint import finish
from kernelsight.stores.sqlite.connect import integer, sorting
from kernelsight.stores.sqlite.layout import Layout
from kernelsight.stores.sqlite.log_readers import log_readers
from kernelsight.stores.sqlite.retention import GRACE_S, Retention
from kernelsight.stores.sqlite.rollups import Summing
from kernelsight.stores.sqlite.segments import Segment
from kernelsight.stores.sqlite.tiers import Tiers

BACKLOG = 8
"""Missing indexes up to which batches go first; beyond it, each batch waits for one index."""
LONGEST_BACKLOG = 64
"""Missing indexes beyond which batches wait until there are fewer."""


def _last_known_ns(layout: Layout) -> int | None:
    """When somebody last wrote to the file, as far as its books tell; None where nobody did."""
    newest = [hot.last_timestamp for table in layout.kinds for hot in layout.of(table)[-2:] if hot.last_timestamp]
    return max(newest, default=None)


def _is_same(summed: Segment, segment: Segment) -> bool:
    """Whether a segment is the one that was summed up, and none of its rows was changed since."""
    return (summed.table_name, summed.number, summed.edits, summed.rows) == (
        segment.table_name,
        segment.number,
        segment.edits,
        segment.rows,
    )


class Upkeep:
    """Steps of upkeep. Each is one transaction, so that a batch waits for one step at most."""

    def __init__(self, layout: Layout, retention: Retention, tiers: Tiers, path: Path) -> None:
        self._layout = layout
        self._retention = retention
        self._tiers = tiers
        self._path = path
        self._summing: Summing | None = None
        clock = SettledClock(time.time_ns)
        # Limits are on by default: a clock that was set before this process began must not make everything old.
        careful = SettledClock(time.time_ns, last_known_ns=_last_known_ns(layout))
        self._steps: tuple[Callable[[], bool], ...] = (
            self._close_old,
            self._index,
            self._correct_bounds,
            self._summarise,
            lambda: retention.apply_policy(clock.now_ns()),
            lambda: tiers.step(careful.now_ns()),
            retention.drop_removed,
            tiers.remove_files,
            tiers.give_back,
        )

    def keep_up(self) -> None:
        """Called after every batch: keep the backlog bounded when there is never time for :meth:`run`."""
        pending = len(self._layout.pending())
        if pending > BACKLOG:
            self._done(self._index)
        while len(self._layout.pending()) > LONGEST_BACKLOG:
            self._done(self._index)

    def run(self, budget_s: float) -> None:
        """Do what is due, one step after the other, until the time is over or nothing is left."""
        deadline = time.monotonic() + budget_s
        for step in self._steps:
            while time.monotonic() < deadline and self._done(step):
                pass

    def let_go(self, now_ns: int) -> Iterator[str]:
        """Keep the limits at once, by a clock that the caller answers for; sentences as it goes on."""
        for step in (self._close_old, self._index, self._correct_bounds, self._summarise):
            while self._done(step):
                pass
        finish(self._layout.connection)
        self._tiers.look_now()
        gone = 0
        while self._done(lambda: self._tiers.step(now_ns)):
            gone += 1
        if gone:
            yield f"{gone:,} segments, or their rows or rollups, are gone"
        grace_s = GRACE_S if log_readers(self._path) else 0.0
        while self._retention.going_bytes() or self._done(lambda: self._retention.drop_removed(grace_s=grace_s)):
            if not self._done(lambda: self._retention.drop_removed(grace_s=grace_s)) and self._retention.going_bytes():
                time.sleep(0.1)
        while self._done(self._tiers.remove_files) or self._done(self._tiers.give_all_back):
            pass
        finish(self._layout.connection)

    def _done(self, step: Callable[[], bool]) -> bool:
        """Take a step; where it met a damaged segment, that is set aside, and there may be more to do."""
        try:
            return step()
        except apsw.CorruptError:
            if not self._layout.isolate():
                raise
            return True

    def _close_old(self) -> bool:
        now = time.time_ns()
        layout = self._layout
        with layout.transaction():
            for table in layout.kinds:
                if layout.is_due(layout.hot(table), now):
                    layout.roll(table)
                    return True
        return False

    def _index(self) -> bool:
        """Build one missing index."""
        if not self._layout.pending():
            return False
        with sorting(self._layout.connection), self._layout.transaction():
            pending = self._layout.pending()  # another client may have changed it meanwhile
            if not pending:
                return False
            step = pending[0]
            statement = ddl.create_index(step.kind.table, step.segment.number, step.columns)
            with self._layout.suspecting(step.segment):
                self._layout.connection.execute(statement)
        pending.popleft()
        return True

    def _correct_bounds(self) -> bool:
        return self._treat(lambda segment: segment.stale and segment.full, self._read_bounds)

    def _summarise(self) -> bool:
        """Sum up some rows of a segment that is full, or put its sums into the rollups."""
        segment = self._first(lambda segment: segment.full and not segment.summarised)
        if segment is None:
            self._summing = None
            return False
        layout = self._layout
        if self._summing is None or not _is_same(self._summing.segment, segment):
            self._summing = Summing(layout.connection, layout.kinds[segment.table_name], replace(segment))
        with layout.suspecting(segment):
            if self._summing.take():
                return True
        with layout.transaction():
            now = self._first(lambda other: (other.table_name, other.number) == (segment.table_name, segment.number))
            if now is not None and _is_same(self._summing.segment, now):
                self._summing.put()
                now.summarised = True
                segment_books.save(layout.connection, [now])
        self._summing = None
        return True

    def _treat(self, needs_it: Callable[[Segment], bool], treatment: Callable[[Segment], None]) -> bool:
        """Treat one segment that needs it, in a transaction; False when none does."""
        if self._first(needs_it) is None:
            return False
        with self._layout.transaction():
            segment = self._first(needs_it)  # again: another client may have written meanwhile
            if segment is not None:
                with self._layout.suspecting(segment):
                    treatment(segment)
        return segment is not None

    def _first(self, needs_it: Callable[[Segment], bool]) -> Segment | None:
        every = (segment for table in self._layout.kinds for segment in self._layout.of(table))
        return next(filter(needs_it, every), None)

    def _read_bounds(self, segment: Segment) -> None:
        connection, name = self._layout.connection, ddl.quote(segment.name)
        segment.first_timestamp = integer(connection, f"SELECT min(timestamp) FROM {name}")
        segment.last_timestamp = integer(connection, f"SELECT max(timestamp) FROM {name}")
        segment.stale = False
        segment_books.save(self._layout.connection, [segment])
