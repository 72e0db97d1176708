"""A connection of the stock ``sqlite3`` module, and the store's reader over it, which sees its uncommitted rows."""

from __future__ import annotations

import re
import sqlite3
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any, cast

import apsw

from kernelsight.errors import StoreError
from kernelsight.events.wire import tables
from kernelsight.stores.base import Value
from kernelsight.stores.sqlite import SqliteReader
from kernelsight.stores.sqlite.connect import reading_user
from kernelsight.stores.sqlite.hidden import Hidden
from kernelsight.stores.sqlite.twins.books import Twin
from kernelsight.stores.sqlite.twins.shelf import Shelf

_MISSING = re.compile(r"no such table: (?:(?P<schema>\w+)\.)?(?P<table>\w+)$", re.ASCII)


class StockConnection(sqlite3.Connection):
    """A connection whose error says what to do where one of our tables is missing, as in a fresh archive."""

    def execute(self, sql: str, parameters: Any = (), /) -> sqlite3.Cursor:
        """Run one statement."""
        with self._explained():
            return super().execute(sql, parameters)

    def executescript(self, sql: str, /) -> sqlite3.Cursor:
        """Run several statements."""
        with self._explained():
            return super().executescript(sql)

    @contextmanager
    def _explained(self) -> Iterator[None]:
        try:
            yield
        except sqlite3.OperationalError as error:
            missing = _MISSING.search(str(error))
            if missing is None or missing["table"] not in tables():
                raise
            schema = missing["schema"] or "main"
            [path] = [file for _, name, file in super().execute("PRAGMA database_list") if name == schema] or [""]
            raise sqlite3.OperationalError(
                f"{error}: {path or schema} has no KernelSight tables yet; make them with"
                f" `kernelsight ingest --init-only --db-path {path or 'FILE'}`, then run the statement again"
            ) from error


class ConnectionReader(SqliteReader):
    """As :class:`~kernelsight.stores.sqlite.SqliteReader`; the connection stays its owner's to close.

    Raises:
        StoreError: the database has not been initialised.
    """

    def __init__(self, path: Path, connection: sqlite3.Connection) -> None:
        # Deliberately not super().__init__, which opens a connection. Of a connection's methods the reader
        # uses execute(), which both modules have alike.
        self._path = path
        self._connection = cast("apsw.Connection", connection)
        self._stock = connection
        self._segments, self._names = {}, {}
        self._user = reading_user(path)
        self._hidden = Hidden(self._connection)
        self._shelf = Shelf(self._connection, path, self._user)
        if not self._columns("segments"):
            raise StoreError(f"{path}: has no tables of ours; init_schema() makes them")

    def query(self, sql: str, params: Sequence[Value] = ()) -> list[dict[str, Value]]:
        """See :class:`kernelsight.stores.base.Reader`."""
        cursor: Any = self._stock.execute(sql, tuple(params))
        names = [column[0] for column in cursor.description or ()]
        return [dict(zip(names, row, strict=True)) for row in cursor]

    def _archived(self, table: str) -> list[Twin]:
        """None: a connection of sqlite3 cannot show rows that have left SQL. Who needs them names the path."""
        del table
        return []

    def by_column(self) -> None:
        """See :class:`kernelsight.stores.base.Reader`: what this connection has not committed is only by row."""

    def _follow(self) -> None:
        """The connection stays its owner's."""

    def _refresh(self) -> None:
        """Forget the books each time: what this connection itself has written changes no `data_version`."""
        self._segments.clear()
        self._names.clear()
        self._shelf.forget()

    def close(self) -> None:
        """Leave the connection to its owner."""
