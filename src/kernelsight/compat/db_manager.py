"""The documented ``db_manager``: the database through the stock ``sqlite3`` module.

Programs written for the documented pipeline read by SQL, insert dicts, and commit. The tables are the views of
:mod:`kernelsight.stores.sqlite`, whose triggers keep its books; what is inserted goes through the same
normalisation as the daemon's input.
"""

from __future__ import annotations

import os
import sqlite3
from collections.abc import Mapping, Sequence
from types import TracebackType
from typing import Any, Self

import msgspec

from kernelsight.compat.connection import ConnectionReader, StockConnection
from kernelsight.compat.event_parsers import translated
from kernelsight.errors import StoreBusyError, StoreError
from kernelsight.events.wire import tables
from kernelsight.stores.base import DEFAULT_DB_PATH, open_reader
from kernelsight.stores.sqlite import initialise
from kernelsight.stores.sqlite.connect import make_file
from kernelsight.stores.sqlite.database_path import database_path

Parameters = Sequence[Any] | Mapping[str, Any]
Fields = Mapping[str, Any]

_BUSY_S = 5.0

_BOOKS = {"segments", "schema_version", "limits", "twins", "twin_files", "twin_folder", "twins_refused"}
"""Tables in which a store keeps account of its parts: none has rows of a person's."""


class DatabaseManager:
    """A database file: read with :meth:`query`, written with ``insert_…`` and :meth:`commit`.

    The folder is made at once, the file when :meth:`init_schema` or :attr:`conn` needs it, so that looking for
    something in a database that is not there leaves none behind. What is inserted is seen by this object at
    once and by others after :meth:`commit`; as a context manager it commits where no exception passes, and closes.

    Raises:
        StoreError: the path names nothing that can be a database, or its folder cannot be made.
    """

    def __init__(self, db_path: str | os.PathLike[str] = DEFAULT_DB_PATH) -> None:
        self.db_path = database_path(db_path)
        self._connection: sqlite3.Connection | None = None
        try:
            self.db_path.parent.mkdir(parents=True, exist_ok=True)
        except OSError as error:
            raise StoreError(f"{self.db_path.parent}: cannot be made: {error.strerror}") from error

    @property
    def conn(self) -> sqlite3.Connection:
        """The connection, opened when first used; its rows can be read by index and by name."""
        if self._connection is None:
            make_file(self.db_path)
            self._connection = sqlite3.connect(self.db_path, timeout=_BUSY_S, factory=StockConnection)
            self._connection.row_factory = sqlite3.Row
            self._connection.execute("PRAGMA synchronous = NORMAL")
            self._connection.execute("PRAGMA cache_size = -64000")
        return self._connection

    def init_schema(self) -> None:
        """Make the file and its tables, or bring those of an older version up to date; commits what is pending.

        Raises:
            StoreVersionError: the file was made by a newer version.
            StoreError: it cannot be written.
        """
        self.commit()
        # The store has an SQLite of its own. Two in one process must not have one file open together:
        # the first to close it would drop the locks of the other (sqlite.org/howtocorrupt.html, 2.2.1).
        self.close()
        try:
            initialise(str(self.db_path))
        except StoreBusyError:  # a daemon is at work, so the tables are there, if it is of this version
            open_reader(str(self.db_path)).close()

    def query(self, sql: str, params: Parameters = ()) -> list[sqlite3.Row]:
        """Run one statement and give its rows.

        Raises:
            StoreError: there is no database.
            sqlite3.Error: the statement is wrong.
        """
        self._require_file()
        return self.conn.execute(sql, params).fetchall()

    def reader(self) -> ConnectionReader:
        """This database for :mod:`kernelsight.query`, uncommitted rows included.

        Raises:
            StoreError: there is no database, or it has not been initialised.
        """
        self._require_file()
        return ConnectionReader(self.db_path, self.conn)

    def get_table_stats(self) -> dict[str, int]:
        """How many rows each table has."""
        reader = self.reader()
        plain = (
            "SELECT name FROM sqlite_master WHERE type = 'table' AND instr(name, '__') = 0 AND name NOT LIKE 'sqlite%'"
        )
        names = sorted({*tables(), *(row["name"] for row in self.query(plain))} - _BOOKS)
        return {name: reader.count(name) for name in names}

    def commit(self) -> None:
        """Make what was inserted permanent and visible to others."""
        if self._connection is not None:
            self._connection.commit()

    def close(self) -> None:
        """Close the connection; what was not committed is lost. The object opens a new one when it is used again."""
        if self._connection is not None:
            self._connection.close()
            self._connection = None

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        if kind is None:
            self.commit()
        self.close()

    def insert_syscall_event(self, event: Fields) -> int:
        """Insert a slow system call; returns the row's id, as all of these do."""
        return self._insert("syscall", event)

    def insert_page_fault_event(self, event: Fields) -> int:
        """Insert a page fault."""
        return self._insert("page_fault", event)

    def insert_io_latency_stats(self, event: Fields) -> int:
        """Insert one second's block I/O latencies."""
        return self._insert("io_latency", event)

    def insert_memory_metrics(self, event: Fields) -> int:
        """Insert a sample of memory."""
        return self._insert("memory", event)

    def insert_load_metrics(self, event: Fields) -> int:
        """Insert a sample of the load averages."""
        return self._insert("load", event)

    def insert_block_stats(self, event: Fields) -> int:
        """Insert a sample of one block device."""
        return self._insert("block", event)

    def insert_network_stats(self, event: Fields) -> int:
        """Insert a sample of one network interface."""
        return self._insert("network", event)

    def insert_tcp_stats(self, event: Fields) -> int:
        """Insert a sample of TCP sockets by state."""
        return self._insert("tcp", event)

    def insert_tcp_retransmit_stats(self, event: Fields) -> int:
        """Insert a sample of TCP's retransmissions."""
        return self._insert("tcp_retransmit", event)

    def insert_sched_event(self, event: Fields) -> int:
        """Insert a wait for a CPU, or one second's sums of a process: the fields decide on the table."""
        return self._insert("sched", event)

    def insert_sched_stats(self, event: Fields) -> int:
        """Insert one second's sums of a process."""
        return self._insert("sched_process", event)

    def _insert(self, word: str, event: Fields) -> int:
        """Insert one event.

        Raises:
            ValueError: it has no timestamp, is of another kind, or a value is wrong.
            StoreError: there is no database.
        """
        self._require_file()
        line = translated(word, event)
        names, places = ", ".join(line.kind.column_names), ", ".join("?" * len(line.kind.columns))
        values = msgspec.structs.astuple(line.event)
        self.conn.execute(f"INSERT INTO {line.kind.table} ({names}) VALUES ({places})", values)
        # A view has no last_insert_rowid; ids only grow, so the row is the one with the greatest.
        [row] = self.query(f"SELECT id FROM {line.kind.table} ORDER BY id DESC LIMIT 1")
        return int(row["id"])

    def _require_file(self) -> None:
        if self._connection is None and not self.db_path.is_file():
            raise StoreError(f"{self.db_path}: no such database; init_schema() or ./start_kernelsight.sh makes it")
