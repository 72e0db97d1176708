"""The store's reader over a connection of the stock ``sqlite3`` module, which sees its uncommitted rows."""

from __future__ import annotations

import sqlite3
from collections.abc import Sequence
from pathlib import Path
from typing import Any, cast

import apsw

from kernelsight.errors import StoreError
from kernelsight.stores.base import Value
from kernelsight.stores.sqlite import SqliteReader


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
        if not self._columns("segments"):
            raise StoreError(f"{path}: has no tables of ours; init_schema() makes them")

    def query(self, sql: str, params: Sequence[Value] = ()) -> list[dict[str, Value]]:
        """See :class:`kernelsight.stores.base.Reader`."""
        cursor: Any = self._stock.execute(sql, tuple(params))
        names = [column[0] for column in cursor.description or ()]
        return [dict(zip(names, row, strict=True)) for row in cursor]

    def close(self) -> None:
        """Leave the connection to its owner."""
