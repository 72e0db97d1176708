"""Replaces derived rows through the public views, as any other SQLite client may, beside the daemon that writes events.

The views' triggers keep the books, and the daemon notices that somebody else has written
(:class:`kernelsight.stores.sqlite.layout.Layout`). A transaction here is short: the daemon waits for it.
"""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path

import apsw

from kernelsight.errors import StoreError
from kernelsight.events.declare import kind_of
from kernelsight.events.wire import kinds
from kernelsight.stores.base import Replacement, Row
from kernelsight.stores.sqlite import derivations
from kernelsight.stores.sqlite.checkpoint import finish
from kernelsight.stores.sqlite.connect import connect_reader, connect_writer, translated
from kernelsight.stores.sqlite.damage import abandon
from kernelsight.stores.sqlite.database_path import database_path
from kernelsight.stores.sqlite.ddl import quote, quoted
from kernelsight.stores.sqlite.layout import Layout
from kernelsight.stores.sqlite.migrations import MIGRATIONS, require_ours
from kernelsight.stores.sqlite.schema import column_names
from kernelsight.stores.sqlite.whereabouts import identity
from kernelsight.stores.sqlite.writer import SqliteWriter


class SqliteDeriver:
    """See :class:`kernelsight.stores.base.Deriver`."""

    def __init__(self, path: Path, *, make: bool = False) -> None:
        self._path = path
        if not _is_ready(path):
            if not make:
                raise StoreError(f"{path}: lacks tables of this version; `kernelsight ingest` makes them")
            SqliteWriter(path).close()
        self._identity = identity(path)
        self._connection = connect_writer(path)

    def _follow(self) -> None:
        """Where the path names another file than before, go on with that.

        Raises:
            StoreError: it is gone, or its writer is still making it.
        """
        now = identity(self._path)
        if now == self._identity:
            return
        if now is None or not _is_ready(self._path):
            raise StoreError(f"{self._path}: was removed, and does not exist again yet; `kernelsight ingest` makes it")
        abandon(self._connection)
        self._connection, self._identity = connect_writer(self._path), now

    def progress(self, name: str) -> str | None:
        """See :class:`kernelsight.stores.base.Deriver`."""
        self._follow()
        with translated(self._path):
            return derivations.progress(self._connection, name)

    def replace(self, name: str, before: str | None, after: str, changes: Iterable[Replacement]) -> bool:
        """See :class:`kernelsight.stores.base.Deriver`."""
        self._follow()
        changes = list(changes)
        with translated(self._path):
            try:
                return self._replace_all(name, before, after, changes)
            except apsw.CorruptError:
                if not self._isolate({kind_of(change.struct).table for change in changes}):
                    raise
                return self._replace_all(name, before, after, changes)

    def _isolate(self, tables: set[str]) -> bool:
        """Set the damaged segments of some tables aside."""
        layout = Layout(self._connection, kinds(), None)
        return layout.isolate([segment for table in sorted(tables) for segment in layout.of(table)])

    def _replace_all(self, name: str, before: str | None, after: str, changes: list[Replacement]) -> bool:
        self._connection.execute("BEGIN IMMEDIATE")
        try:
            unchanged = derivations.progress(self._connection, name) == before
            if unchanged:
                for change in changes:
                    self._replace(change)
                derivations.keep(self._connection, name, after)
            self._connection.execute("COMMIT" if unchanged else "ROLLBACK")
        except BaseException:
            if self._connection.in_transaction:
                self._connection.execute("ROLLBACK")
            raise
        return unchanged

    def _replace(self, change: Replacement) -> None:
        kind = kind_of(change.struct)
        table, names = quote(kind.table), kind.column_names
        places = [names.index(key) for key in change.keys]
        new = {_key(row, places) for row in change.rows}
        # Read once, then go by id: the view finds an id by its segments' ranges, a key only by looking at all rows.
        stored = self._connection.execute(
            f"SELECT id, {quoted(('timestamp', *change.keys))} FROM {table} WHERE timestamp BETWEEN ? AND ?",
            (change.start_ns, change.end_ns),
        )
        gone = [(row[0],) for row in stored.fetchall() if not places or tuple(row[2:]) in new]
        self._connection.executemany(f"DELETE FROM {table} WHERE id = ?", gone)
        marks = ", ".join("?" * len(names))
        self._connection.executemany(f"INSERT INTO {table} ({quoted(names)}) VALUES ({marks})", change.rows)

    def close(self) -> None:
        """See :class:`kernelsight.stores.base.Deriver`."""
        finish(self._connection)
        self._connection.close()


def _key(row: Row, places: list[int]) -> Row:
    return tuple(row[place] for place in places)


def _is_ready(path: Path) -> bool:
    """Whether the database has all tables and columns of this version.

    Raises:
        StoreError: it does not exist, is not ours, or is of a newer version.
    """
    connection = connect_reader(path)
    with translated(path):
        try:
            same = require_ours(connection, path, MIGRATIONS) == len(MIGRATIONS)
            return same and all(_has(connection, kind.table, kind.column_names) for kind in kinds().values())
        finally:
            connection.close()


def _has(connection: apsw.Connection, table: str, columns: tuple[str, ...]) -> bool:
    return set(columns) <= set(column_names(connection, table))


def open_deriver(url: str, *, make: bool = False) -> SqliteDeriver:
    """Open a database file for replacing what is derived."""
    return SqliteDeriver(database_path(url), make=make)
