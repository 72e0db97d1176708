"""Letting go of old rows: whole segments at once, the rest row by row.

A segment that goes is first taken out of its view and the books, and its table is dropped some
seconds later, so that a reader that has just been told of it can still read it.
"""

from __future__ import annotations

import time
from collections.abc import Mapping
from math import inf

import apsw

from kernelsight.errors import StoreError, UsageError
from kernelsight.stores.sqlite import segments as segment_books
from kernelsight.stores.sqlite.ddl import quote
from kernelsight.stores.sqlite.layout import Layout
from kernelsight.stores.sqlite.rollups import parting_ids, summarise, summarise_parting
from kernelsight.stores.sqlite.segments import Segment
from kernelsight.stores.sqlite.space import bytes_of

GRAIN_NS = 3600 * 10**9
"""A policy cuts at full hours, so that it does not delete a few rows every second."""

GRACE_S = 10.0
"""How long the table of a removed segment stays for readers."""

ROWS_A_STEP = 20_000


def summarise_segment(layout: Layout, segment: Segment) -> None:
    """Make a segment's rollups, unless they are made; within a transaction."""
    if not segment.summarised:
        summarise(layout.connection, layout.kinds[segment.table_name], segment)
        segment.summarised = True
        segment_books.save(layout.connection, [segment])


class Retention:
    """Retention of one store; every method is one transaction or less."""

    def __init__(self, layout: Layout) -> None:
        self._layout = layout
        self._removed: dict[str, float] = {}
        self._bytes: dict[str, int] = {}

    def policy(self) -> Mapping[str, int]:
        """How long rows are kept (ns) by table; tables that are not in it keep them for good."""
        return dict(self._layout.connection.execute("SELECT table_name, keep_ns FROM retention"))

    def set_policy(self, table: str, keep_ns: int | None) -> None:
        """Keep a table's rows for so long; None: for good.

        Raises:
            UsageError: the time is not positive.
            StoreError: there is no such table of events.
        """
        self._require(table)
        if keep_ns is not None and keep_ns <= 0:
            raise UsageError(f"{table}: rows must be kept for some time, not {keep_ns} ns")
        with self._layout.transaction():
            connection = self._layout.connection
            if keep_ns is None:
                connection.execute("DELETE FROM retention WHERE table_name = ?", (table,))
            else:
                connection.execute("INSERT OR REPLACE INTO retention VALUES (?, ?)", (table, keep_ns))

    def _require(self, table: str) -> None:
        if table not in self._layout.kinds:
            raise StoreError(f"there is no table of events {table!r}")

    def step(self, table: str, older_than_ns: int) -> bool:
        """Let go of one old segment or of some old rows; False when there are none left.

        Rollups of what goes are made first.
        """
        self._require(table)
        layout = self._layout
        with layout.transaction():
            old = [segment for segment in layout.of(table) if _may_be_older(segment, older_than_ns)]
            if not old:
                return False
            with layout.suspecting(old[0]):
                self._let_go(old[0], older_than_ns)
            return True

    def _let_go(self, segment: Segment, older_than_ns: int) -> None:
        layout = self._layout
        if not segment.full and segment.last_timestamp is not None and segment.last_timestamp < older_than_ns:
            layout.roll(segment.table_name)
        if segment.full:
            summarise_segment(layout, segment)
        if segment.full and segment.last_timestamp is not None and segment.last_timestamp < older_than_ns:
            self._remove(segment)
        else:
            self._delete_rows(segment, older_than_ns)

    def _delete_rows(self, segment: Segment, older_than_ns: int) -> None:
        name, connection = quote(segment.name), self._layout.connection
        if not segment.summarised:
            summarise_parting(connection, self._layout.kinds[segment.table_name], segment, older_than_ns, ROWS_A_STEP)
        connection.execute(
            f"DELETE FROM {name} WHERE id IN ({parting_ids(segment, '?', ROWS_A_STEP)})", (older_than_ns,)
        )
        deleted = connection.changes()
        segment.rows -= deleted
        segment.edits += 1
        if deleted < ROWS_A_STEP:
            first, last = connection.execute(f"SELECT min(timestamp), max(timestamp) FROM {name}").fetchall()[0]
            segment.first_timestamp, segment.last_timestamp, segment.stale = _stamp(first), _stamp(last), False
        if segment.full and not segment.rows:
            self._remove(segment)
        else:
            segment_books.save(connection, [segment])

    def remove_whole(self, segment: Segment, *, archived: bool) -> None:
        """Let the rows of a full segment go, its rollups made first; within a transaction.

        Args:
            segment: the segment.
            archived: its rows stay in its twin, which must be fresh.
        """
        summarise_segment(self._layout, segment)
        self._bytes[segment.name] = bytes_of(self._layout.connection, segment.name)
        self._remove(segment, archived=archived)

    def going_bytes(self) -> int:
        """Bytes of tables that :meth:`remove_whole` took away and that are not dropped yet."""
        return sum(self._bytes.values())

    def _remove(self, segment: Segment, *, archived: bool = False) -> None:
        self._layout.remove(segment, archived=archived)
        self._removed[segment.name] = time.monotonic()

    def apply_policy(self, now_ns: int) -> bool:
        """One step of the policy; False when nothing is due."""
        for table, keep_ns in self.policy().items():
            cut = (now_ns - keep_ns) // GRAIN_NS * GRAIN_NS
            if table in self._layout.kinds and self.step(table, cut):
                return True
        return False

    def drop_removed(self, *, grace_s: float = GRACE_S) -> bool:
        """Drop the table of one removed segment; False when none is due."""
        for name in self._orphans():
            if time.monotonic() - self._removed.setdefault(name, time.monotonic()) >= grace_s:
                try:
                    with self._layout.transaction():
                        self._layout.connection.execute(f"DROP TABLE {quote(name)}")
                except apsw.CorruptError:
                    self._removed[name] = inf  # its pages cannot be freed; nobody reads them any more
                    continue
                finally:
                    self._bytes.pop(name, None)
                del self._removed[name]
                return True
        return False

    def _orphans(self) -> list[str]:
        """Segments that are in the file but not in the books, those that an earlier writer left included."""
        stored = self._layout.connection.execute("SELECT name FROM sqlite_master WHERE type = 'table'")
        names = {str(name) for (name,) in stored}
        known = self._layout.names()
        return sorted(
            name
            for name in names - known
            for table, separator, number in [name.rpartition("__")]
            if separator and number.isdecimal() and table in self._layout.kinds
        )


def _may_be_older(segment: Segment, cut: int) -> bool:
    return segment.rows > 0 and segment.first_timestamp is not None and segment.first_timestamp < cut


def _stamp(value: apsw.SQLiteValue) -> int | None:
    return value if isinstance(value, int) else None
