"""Segments and their books: one row of ``segments`` for each table of rows behind a public name.

Ids follow time (see :mod:`kernelsight.stores.sqlite.place`), are unique across the segments of a
table and never used twice; each segment owns the ids from its ``first_id`` to its ``last_id``.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable
from dataclasses import dataclass, fields

import apsw

from kernelsight.stores.sqlite.ddl import segment_name
from kernelsight.stores.sqlite.place import Placed

FUTURE_TOLERANCE_NS = 10 * 10**9
"""A stamp further ahead of this clock than this does not draw the ids after it."""

DISORDER_NS = 60 * 10**9
"""Up to this lateness and earliness a range of time is found by id; beyond it, by an index on the timestamp."""


@dataclass(slots=True)
class Segment:
    """One segment as its books have it; the fields are the columns of ``segments``."""

    table_name: str
    number: int
    first_id: int
    """Lowest id that it may hold."""
    opened_ns: int
    last_id: int | None = None
    """Highest id ever given in it; None before the first row."""
    rows: int = 0
    first_timestamp: int | None = None
    last_timestamp: int | None = None
    late_ns: int = 0
    """Largest ``id - timestamp``."""
    early_ns: int = 0
    """Largest ``timestamp - id``."""
    full: bool = False
    """Takes no more rows."""
    stale: bool = False
    """A row at one of the bounds was deleted or changed: they hold all rows, but may be too wide."""
    summarised: bool = False
    """Its rollups are made."""
    damage: str | None = None
    """What SQLite said of it when it could not be read or written; None: it is whole. A damaged segment is set aside:
    in the file and the books, and in no view."""
    edits: int = 0
    """How often a row of it was deleted or changed: a twin that was made before
    (:mod:`kernelsight.stores.sqlite.twins`) is stale."""

    @property
    def name(self) -> str:
        """Its table."""
        return segment_name(self.table_name, self.number)

    @property
    def next_id_floor(self) -> int:
        """Lowest id of a segment that comes after it."""
        return self.first_id if self.last_id is None else self.last_id + 1

    @property
    def in_order(self) -> bool:
        """Whether a range of time can be found by id."""
        return self.late_ns <= DISORDER_NS and self.early_ns <= DISORDER_NS

    def add(self, rows: int, placed: Placed) -> None:
        """Book rows that were inserted."""
        first, last = placed.first_timestamp, placed.last_timestamp
        self.rows += rows
        self.last_id = placed.last_id
        self.first_timestamp = first if self.first_timestamp is None else min(self.first_timestamp, first)
        self.last_timestamp = last if self.last_timestamp is None else max(self.last_timestamp, last)
        self.late_ns = max(self.late_ns, placed.late_ns)
        self.early_ns = max(self.early_ns, placed.early_ns)

    def overlaps(self, start_ns: int | None, end_ns: int | None) -> bool:
        """Whether it may hold rows of a range of time, bounds inclusive."""
        if self.first_timestamp is None or self.last_timestamp is None or not self.rows:
            return False
        return (start_ns is None or self.last_timestamp >= start_ns) and (
            end_ns is None or self.first_timestamp <= end_ns
        )


CREATE_SEGMENTS = """CREATE TABLE segments (
    table_name TEXT NOT NULL,
    number INTEGER NOT NULL,
    first_id INTEGER NOT NULL,
    opened_ns INTEGER NOT NULL,
    last_id INTEGER,
    rows INTEGER NOT NULL,
    first_timestamp INTEGER,
    last_timestamp INTEGER,
    late_ns INTEGER NOT NULL,
    early_ns INTEGER NOT NULL,
    full INTEGER NOT NULL,
    stale INTEGER NOT NULL,
    summarised INTEGER NOT NULL,
    PRIMARY KEY (table_name, number)
) WITHOUT ROWID"""

_COLUMNS = tuple(field.name for field in fields(Segment))
_SELECT = f"SELECT {', '.join(_COLUMNS)} FROM segments"
_SAVE = f"INSERT OR REPLACE INTO segments ({', '.join(_COLUMNS)}) VALUES ({', '.join('?' * len(_COLUMNS))})"


def _segment(row: tuple[apsw.SQLiteValue, ...]) -> Segment:
    values = dict(zip(_COLUMNS, row, strict=True))
    for flag in ("full", "stale", "summarised"):
        values[flag] = bool(values[flag])
    return Segment(**values)  # type: ignore[arg-type]


def load(connection: apsw.Connection) -> dict[str, list[Segment]]:
    """All segments by table, oldest first, the damaged ones included."""
    segments: dict[str, list[Segment]] = defaultdict(list)
    for row in connection.execute(f"{_SELECT} ORDER BY table_name, number"):
        segment = _segment(row)
        segments[segment.table_name].append(segment)
    return dict(segments)


def load_table(connection: apsw.Connection, table: str) -> list[Segment]:
    """The segments of one table, oldest first, the damaged ones included."""
    return [_segment(row) for row in connection.execute(f"{_SELECT} WHERE table_name = ? ORDER BY number", (table,))]


def save(connection: apsw.Connection, segments: Iterable[Segment]) -> None:
    """Write the books of these segments."""
    connection.executemany(_SAVE, [tuple(getattr(segment, column) for column in _COLUMNS) for segment in segments])
