"""The books of twins: which segments have one, in which file, and which files there are.

A twin is *fresh* while ``segments.edits`` is what it was when the twin was read: every change of a row of a segment
counts it up, whoever makes it (the triggers of :mod:`kernelsight.stores.sqlite.views`). A twin of a segment that is
not in ``segments`` any more is *archived*: the file alone has its rows, and nothing can make it stale.
"""

from __future__ import annotations

import time
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, fields

import apsw

from kernelsight.stores.sqlite.segments import Segment, load_table

CREATE_TWINS = (
    """CREATE TABLE twins (
    table_name TEXT NOT NULL,
    number INTEGER NOT NULL,
    file TEXT NOT NULL,
    rows INTEGER NOT NULL,
    first_id INTEGER NOT NULL,
    last_id INTEGER NOT NULL,
    first_timestamp INTEGER NOT NULL,
    last_timestamp INTEGER NOT NULL,
    edits INTEGER NOT NULL,
    PRIMARY KEY (table_name, number)
) WITHOUT ROWID""",
    """CREATE TABLE twin_files (
    table_name TEXT NOT NULL,
    file TEXT NOT NULL,
    rows INTEGER NOT NULL,
    bytes INTEGER NOT NULL,
    sha256 TEXT NOT NULL,
    columns TEXT NOT NULL,
    made_ns INTEGER NOT NULL,
    retired_ns INTEGER,
    PRIMARY KEY (table_name, file)
) WITHOUT ROWID""",
    """CREATE TABLE twins_refused (
    table_name TEXT NOT NULL,
    number INTEGER NOT NULL,
    edits INTEGER NOT NULL,
    reason TEXT NOT NULL,
    PRIMARY KEY (table_name, number)
) WITHOUT ROWID""",
    "CREATE TABLE twin_folder (identity TEXT NOT NULL)",
    "INSERT INTO twin_folder VALUES (lower(hex(randomblob(16))))",
)


@dataclass(frozen=True, slots=True)
class Twin:
    """The twin of one segment; the fields are the columns of ``twins``."""

    table_name: str
    number: int
    """Of the segment."""
    file: str
    """Its name in the table's folder. After a merge one file has several segments, each with a range of ids."""
    rows: int
    first_id: int
    last_id: int
    first_timestamp: int
    last_timestamp: int
    edits: int
    """``segments.edits`` when the rows were read."""

    def overlaps(self, start_ns: int | None, end_ns: int | None) -> bool:
        """Whether it may hold rows of a range of time, bounds inclusive."""
        return (start_ns is None or self.last_timestamp >= start_ns) and (
            end_ns is None or self.first_timestamp <= end_ns
        )


@dataclass(frozen=True, slots=True)
class TwinFile:
    """A Parquet file; the fields are the columns of ``twin_files``."""

    table_name: str
    file: str
    rows: int
    """All that are in it; more than its twins have in the books where some of them are stale or gone."""
    bytes: int
    sha256: str
    columns: str
    """Names of its columns, with commas between: those that were declared when it was made."""
    made_ns: int
    retired_ns: int | None = None
    """When its last twin went; the file is removed :data:`GRACE_NS` later."""


GRACE_NS = 30 * 10**9
"""How long a retired file stays for readers that were told of it."""

_TWIN = tuple(field.name for field in fields(Twin))
_FILE = tuple(field.name for field in fields(TwinFile))
_DUE = """SELECT s.table_name, s.number FROM segments AS s
  LEFT JOIN twins AS t USING (table_name, number) LEFT JOIN twins_refused AS r USING (table_name, number)
  WHERE s.full AND s.rows > 0 AND s.damage IS NULL AND t.edits IS NOT s.edits AND r.edits IS NOT s.edits"""


def identity_of(connection: apsw.Connection) -> str:
    """What tells this database's folder of twins from that of another that had the same path."""
    [(identity,)] = connection.execute("SELECT identity FROM twin_folder").fetchall()
    return str(identity)


def load_twins(connection: apsw.Connection, table: str | None = None) -> list[Twin]:
    """The fresh and the archived twins, of one table or of all, the oldest first."""
    selected = ", ".join(f"t.{name}" for name in _TWIN)
    rows = connection.execute(
        f"SELECT {selected} FROM twins AS t LEFT JOIN segments AS s USING (table_name, number)"
        " WHERE (s.number IS NULL OR s.edits = t.edits) AND (?1 IS NULL OR t.table_name = ?1)"
        " ORDER BY t.table_name, t.number",
        (table,),
    )
    return [Twin(*row) for row in rows]


def load_all_twins(connection: apsw.Connection) -> list[Twin]:
    """All twins, stale ones too, the oldest first; without a look at the books of segments, which may be damaged."""
    rows = connection.execute(f"SELECT {', '.join(_TWIN)} FROM twins ORDER BY table_name, number")
    return [Twin(*row) for row in rows]


def load_files(connection: apsw.Connection, table: str | None = None) -> dict[tuple[str, str], TwinFile]:
    """The files, by table and name."""
    rows = connection.execute(
        f"SELECT {', '.join(_FILE)} FROM twin_files WHERE ?1 IS NULL OR table_name = ?1", (table,)
    )
    files = [TwinFile(*row) for row in rows]
    return {(file.table_name, file.file): file for file in files}


def due(connection: apsw.Connection) -> list[Segment]:
    """The full segments that have no fresh twin, the oldest first; without those of which none can be made."""
    wanted = {(str(table), number) for table, number in connection.execute(_DUE)}
    segments = [segment for table in {table for table, _ in wanted} for segment in load_table(connection, table)]
    return sorted(
        (segment for segment in segments if (segment.table_name, segment.number) in wanted),
        key=lambda segment: (segment.opened_ns, segment.table_name),
    )


def is_due(connection: apsw.Connection) -> bool:
    """Whether :func:`due` gives anything."""
    return connection.execute(f"{_DUE} LIMIT 1").fetchone() is not None


def record(connection: apsw.Connection, file: TwinFile, twins: Iterable[Twin]) -> None:
    """Book a file and its twins, instead of those that the segments had; within a transaction."""
    twins = list(twins)
    connection.execute(
        f"INSERT INTO twin_files ({', '.join(_FILE)}) VALUES ({', '.join('?' * len(_FILE))})",
        tuple(getattr(file, name) for name in _FILE),
    )
    connection.executemany(
        f"INSERT OR REPLACE INTO twins ({', '.join(_TWIN)}) VALUES ({', '.join('?' * len(_TWIN))})",
        [tuple(getattr(twin, name) for name in _TWIN) for twin in twins],
    )
    retire_unused(connection)


def refuse(connection: apsw.Connection, segment: Segment, reason: str) -> None:
    """Book that no twin can be made of a segment as it is; within a transaction."""
    connection.execute(
        "INSERT OR REPLACE INTO twins_refused VALUES (?, ?, ?, ?)",
        (segment.table_name, segment.number, segment.edits, reason),
    )


def forget(connection: apsw.Connection, table: str, numbers: Sequence[int]) -> None:
    """Let go of the twins of some segments; a file that has no other is retired. Within a transaction."""
    for name in ("twins", "twins_refused"):
        connection.executemany(
            f"DELETE FROM {name} WHERE table_name = ? AND number = ?", [(table, number) for number in numbers]
        )
    retire_unused(connection)


def retire_unused(connection: apsw.Connection) -> None:
    """Mark the files that no twin in the books is in; within a transaction."""
    connection.execute(
        "UPDATE twin_files SET retired_ns = ? WHERE retired_ns IS NULL AND NOT EXISTS (SELECT 1 FROM twins"
        " WHERE twins.table_name = twin_files.table_name AND twins.file = twin_files.file)",
        (time.time_ns(),),
    )


def removable(connection: apsw.Connection, now_ns: int) -> list[TwinFile]:
    """The retired files that no reader needs any more; where the clock was set back, those of the future as well."""
    return [
        file
        for file in load_files(connection).values()
        if file.retired_ns is not None and not 0 <= now_ns - file.retired_ns < GRACE_NS
    ]
