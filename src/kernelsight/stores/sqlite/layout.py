"""The segments of one database as its writer holds them: in memory, and true to the file at every transaction."""

from __future__ import annotations

from collections import deque
from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass

import apsw

from kernelsight.events.declare import Kind
from kernelsight.stores.sqlite import ddl
from kernelsight.stores.sqlite import segments as segment_books
from kernelsight.stores.sqlite.books import CREATE_REJECTED
from kernelsight.stores.sqlite.connect import integer
from kernelsight.stores.sqlite.damage import damage_of, damage_of_table, rename_damaged
from kernelsight.stores.sqlite.place import Placed
from kernelsight.stores.sqlite.rollups import rollups_in
from kernelsight.stores.sqlite.schema import add_segment, rebuild_view
from kernelsight.stores.sqlite.segments import Segment
from kernelsight.stores.sqlite.twins.books import forget

SEGMENT_ROWS = 100_000
"""Rows at which a segment is full: building one of its indexes takes 0.02 to 0.1 s, for which commits wait."""

SEGMENT_NS = 24 * 3600 * 10**9
"""Age at which a segment is full, so that slow tables are sealed, summarised and dropped by the day."""

SEGMENTS_PER_SIZE = 64
MOST_SEGMENTS = 480
"""A view holds at most 500 segments (SQLITE_MAX_COMPOUND_SELECT), so segments double in size with every 64 of
them: 64 x (1 + 2 + 4 + ... + 64) x 100,000 rows, 800 million a table, fit before the hot one grows for good."""


@dataclass(frozen=True, slots=True)
class IndexStep:
    """An index that a segment lacks."""

    kind: Kind
    segment: Segment
    columns: tuple[str, ...]


class Layout:
    """All segments by table, and the transactions in which they change."""

    def __init__(self, connection: apsw.Connection, kinds: Mapping[str, Kind], segment_rows: int | None) -> None:
        self.connection = connection
        self.kinds = {kind.table: kind for kind in kinds.values()}
        self._segment_rows = SEGMENT_ROWS if segment_rows is None else segment_rows
        self._data_version: int | None = None
        self._pending: deque[IndexStep] | None = None
        self._notices: list[str] = []
        self._suspects: list[tuple[str, int]] = []
        self._load()

    @contextmanager
    def transaction(self) -> Iterator[None]:
        """A write transaction; what is in memory is read again if somebody else has written, or if this fails."""
        self.connection.execute("BEGIN IMMEDIATE")
        try:
            self._notice_others()
            yield
            self.connection.execute("COMMIT")
        except BaseException:
            self._data_version = None
            if self.connection.in_transaction:
                self.connection.execute("ROLLBACK")
            raise

    def _notice_others(self) -> None:
        """Somebody may have written through the views with another client."""
        version = integer(self.connection, "PRAGMA data_version")
        if version != self._data_version:
            self._load()
            self._data_version = version

    def _load(self) -> None:
        every = segment_books.load(self.connection)
        self._segments = {table: [s for s in segments if s.damage is None] for table, segments in every.items()}
        self._damaged = [s for segments in every.values() for s in segments if s.damage is not None]
        self._pending = None

    def of(self, table: str) -> list[Segment]:
        """The segments of a table that are whole, oldest first, the hot one last."""
        return self._segments[table]

    def names(self) -> set[str]:
        """The tables of all segments, the damaged ones included."""
        return {s.name for segments in (*self._segments.values(), self._damaged) for s in segments}

    # --- damage -------------------------------------------------------------------------------------

    @contextmanager
    def suspecting(self, *segments: Segment) -> Iterator[None]:
        """Say which segments are read or written here; where damage is met, :meth:`isolate` looks at them."""
        self._suspects = [(segment.table_name, segment.number) for segment in segments]
        yield
        self._suspects = []  # not after an error

    def isolate(self, among: Iterable[Segment] = ()) -> bool:
        """After an SQLITE_CORRUPT, outside of a transaction: set those of the suspects aside that are damaged.

        SQLite lets a transaction that has met damage write nothing more, so it has to be made again then.

        Args:
            among: suspects besides.

        Returns:
            False where none is: the damage is elsewhere.
        """
        suspects = [*self._suspects, *((segment.table_name, segment.number) for segment in among)]
        self._suspects = []
        every = {(s.table_name, s.number): s for segments in self._segments.values() for s in segments}
        damaged = {
            key: reason for key in suspects if key in every and (reason := damage_of(self.connection, every[key]))
        }
        if damaged:
            with self.transaction():
                for segments in list(self._segments.values()):
                    for segment in list(segments):
                        if reason := damaged.get((segment.table_name, segment.number)):
                            self._set_aside(segment, reason)
            return True
        return self._isolate_beside()

    def _isolate_beside(self) -> bool:
        """Set aside what is no segment and can be begun anew: the refused lines that are kept, and rollups."""
        tables = ["rejected_events", *rollups_in(self.connection, self.kinds)]
        damaged = {table: reason for table in tables if (reason := damage_of_table(self.connection, table))}
        for table, reason in damaged.items():
            with self.transaction():
                aside = rename_damaged(self.connection, table)
                if table == "rejected_events":
                    for statement in CREATE_REJECTED:
                        self.connection.execute(statement)
            self._notices.append(f"{table} is damaged ({reason}) and kept as {aside}; a new table begins")
        return bool(damaged)

    def _set_aside(self, segment: Segment, reason: str) -> None:
        """Take a damaged segment out of its view; where it is the hot one, the next takes its place."""
        segments = self._segments[segment.table_name]
        segment.damage = reason
        segment_books.save(self.connection, [segment])
        segments.remove(segment)
        self._damaged.append(segment)
        if not segment.full:
            segments.append(add_segment(self.connection, self.kinds[segment.table_name], segment))
        rebuild_view(self.connection, self.kinds[segment.table_name], segments)
        self._pending = None
        self._notices.append(
            f"{segment.name} is damaged ({reason}) and set aside with {segment.rows:,} rows;"
            " end the daemon, then run `kernelsight repair`"
        )

    def take_notices(self) -> list[str]:
        """What was set aside since this was last asked, for a person."""
        notices, self._notices = self._notices, []
        return notices

    # --- changes ------------------------------------------------------------------------------------

    def hot(self, table: str) -> Segment:
        """The segment that takes rows."""
        return self._segments[table][-1]

    def is_due(self, segment: Segment, now_ns: int) -> bool:
        """Whether a hot segment should take no more rows."""
        count = len(self._segments[segment.table_name])
        factor = 1 << (count // SEGMENTS_PER_SIZE)
        if not segment.rows or count >= MOST_SEGMENTS:
            return False
        return segment.rows >= factor * self._segment_rows or now_ns - segment.opened_ns >= factor * SEGMENT_NS

    def roll(self, table: str) -> None:
        """Close the hot segment of a table and open the next; within a transaction."""
        segments = self._segments[table]
        segments[-1].full = True
        segment_books.save(self.connection, segments[-1:])
        segments.append(add_segment(self.connection, self.kinds[table], segments[-1]))
        rebuild_view(self.connection, self.kinds[table], segments)
        self._pending = None

    def remove(self, segment: Segment, *, archived: bool = False) -> None:
        """Take a segment out of its view and the books; its table is dropped later. Within a transaction.

        Args:
            segment: a full one.
            archived: its rows stay in its twin, which must be fresh; otherwise that goes, too.
        """
        segments = self._segments[segment.table_name]
        segments.remove(segment)
        rebuild_view(self.connection, self.kinds[segment.table_name], segments)
        self.connection.execute(
            "DELETE FROM segments WHERE table_name = ? AND number = ?", (segment.table_name, segment.number)
        )
        if not archived:
            forget(self.connection, segment.table_name, [segment.number])
        self._pending = None

    def book(self, segment: Segment, rows: int, placed: Placed) -> None:
        """Book rows that were inserted into a hot segment."""
        was_in_order = segment.in_order
        segment.add(rows, placed)
        if was_in_order and not segment.in_order:
            self._pending = None

    def pending(self) -> deque[IndexStep]:
        """Indexes that are missing, the oldest segments first."""
        if self._pending is None:
            names = {name for (name,) in self.connection.execute("SELECT name FROM sqlite_master WHERE type = 'index'")}
            self._pending = deque(
                IndexStep(kind, segment, columns)
                for table, kind in self.kinds.items()
                for segment in self._segments.get(table, ())
                for columns in _wanted(kind, segment)
                if ddl.index_name(table, segment.number, columns) not in names
            )
        return self._pending


def _wanted(kind: Kind, segment: Segment) -> tuple[tuple[str, ...], ...]:
    """All of them for a full segment; for a hot one none, unless its rows are so out of order that ids don't help."""
    if segment.full:
        return ddl.index_columns(kind)
    return () if segment.in_order else (ddl.TIMESTAMP_INDEX,)
