"""Rows of a file that was set aside as a whole, put into the database that was begun in its place.

Rows that only its columns have come as well: these are kept beside the database.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Collection
from contextlib import closing, suppress
from pathlib import Path

import apsw

from kernelsight.events.declare import Kind
from kernelsight.events.wire import tables
from kernelsight.stores.base import Batch, Row
from kernelsight.stores.damage import Recovered, Repaired
from kernelsight.stores.sqlite.connect import translated
from kernelsight.stores.sqlite.damage import DAMAGED
from kernelsight.stores.sqlite.ddl import quote
from kernelsight.stores.sqlite.schema import column_names
from kernelsight.stores.sqlite.writer import SqliteWriter

_ROWS = 10_000


def adopt(path: Path, aside: Path) -> Repaired:
    """Store the rows of a file that was set aside; where its schema cannot be read, nothing is done.

    They get new ids, as rows that come late. The file is renamed, and kept.

    Raises:
        StoreBusyError: somebody writes to the database.
        StoreError: it cannot be written; the file that was set aside is as it was.
    """
    with closing(SqliteWriter(path)) as writer:
        with translated(aside):
            try:
                segments = _segments(aside)
            except DAMAGED:
                return Repaired(
                    str(aside), beyond_repair=f"its schema cannot be read; `sqlite3 {aside} .recover` may read its rows"
                )
            kept = _renamed(aside)
            with closing(apsw.Connection(str(kept))) as old:
                parts = [(kind, _adopt(writer, old, kind, name)) for kind, name in segments]
                parts += _adopt_archived(writer, path, old, {name for _, name in segments})
        stored: Counter[str] = Counter()
        for kind, part in parts:
            stored[kind.name] += part.rows
        writer.count_recovered(stored)
    return Repaired(str(aside), tuple(part for _, part in parts if part.rows or part.lost != 0), str(kept))


def _segments(file: Path) -> list[tuple[Kind, str]]:
    """The tables of rows in a file, in order."""
    with closing(apsw.Connection(str(file))) as connection:
        names = [str(name) for (name,) in connection.execute("SELECT name FROM sqlite_master WHERE type = 'table'")]
    numbered = [
        (table, int(number), name)
        for name in names
        for table, _, number in [name.rpartition("__")]
        if number.isdecimal()
    ]
    return [(tables()[table], name) for table, _, name in sorted(numbered) if table in tables()]


def _renamed(aside: Path) -> Path:
    kept = aside.with_name(aside.name.replace(".damaged-", ".before-repair-"))
    for suffix in ("-wal", "-shm", ""):
        with suppress(FileNotFoundError):
            aside.with_name(aside.name + suffix).rename(kept.with_name(kept.name + suffix))
    return kept


def _adopt(writer: SqliteWriter, old: apsw.Connection, kind: Kind, name: str) -> Recovered:
    """Store the rows of one table, as far as they can be read from either end."""
    has = column_names(old, name)
    columns = ", ".join(quote(column) if column in has else "NULL" for column in kind.column_names)
    count = 0
    for order in ("ASC", "DESC"):  # what lies between two damaged pages is not read
        chunk: list[Row] = []
        try:
            for row in old.execute(f"SELECT {columns} FROM {quote(name)} ORDER BY id {order}"):
                chunk.append(row)
                if len(chunk) == _ROWS:
                    count += _stored(writer, kind, chunk)
                    chunk = []
        except DAMAGED:
            count += _stored(writer, kind, chunk)
        else:
            return Recovered(name, count + _stored(writer, kind, chunk), 0)
    return Recovered(name, count, None)


def _adopt_archived(
    writer: SqliteWriter, path: Path, old: apsw.Connection, stored: Collection[str]
) -> list[tuple[Kind, Recovered]]:
    """Store the rows that only columns have, as far as they can be read."""
    from kernelsight.stores.sqlite.twins.adopting import archived  # noqa: PLC0415 - with it comes pyarrow

    parts: list[tuple[Kind, Recovered]] = []
    for part in archived(path, old, stored):
        count = sum(_stored(writer, part.kind, list(rows)) for rows in part.rows())
        parts.append((part.kind, Recovered(part.name, count, part.twin.rows - count)))
    return parts


def _stored(writer: SqliteWriter, kind: Kind, rows: list[Row]) -> int:
    """Store rows; how many were taken."""
    return len(rows) - len(writer.write(Batch({kind.struct: rows}))) if rows else 0
