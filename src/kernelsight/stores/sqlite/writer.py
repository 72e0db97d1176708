"""The one writer of a database file."""

from __future__ import annotations

import time
from collections.abc import Mapping, Sequence
from pathlib import Path

import apsw

from kernelsight.errors import StoreError
from kernelsight.events.declare import Event, Kind, kind_of
from kernelsight.events.wire import kinds as all_kinds
from kernelsight.stores import ddl
from kernelsight.stores.base import Account, Batch, RefusedRow, Rejected, Row
from kernelsight.stores.sqlite import segments as segment_books
from kernelsight.stores.sqlite.books import Books, keep_rejected, settle_crash
from kernelsight.stores.sqlite.connect import connect_writer, integer, translated
from kernelsight.stores.sqlite.lock import WriterLock
from kernelsight.stores.sqlite.migrations import MIGRATIONS, Migration
from kernelsight.stores.sqlite.place import place
from kernelsight.stores.sqlite.schema import prepare
from kernelsight.stores.sqlite.segments import FUTURE_TOLERANCE_NS, Segment

# What SQLite or the binding raises because of one row's values; anything else is the whole batch's trouble.
_ROW_ERRORS = (
    apsw.ConstraintError,
    apsw.MismatchError,
    apsw.TooBigError,
    apsw.BindingsError,
    OverflowError,
    TypeError,
    UnicodeError,
    IndexError,
)


class SqliteWriter:
    """Writes batches to the hot segments; seals, summarises and retires segments when there is time."""

    def __init__(
        self,
        path: Path,
        *,
        kinds: Mapping[str, Kind] | None = None,
        migrations: list[Migration] | None = None,
    ) -> None:
        self._path = path
        self._kinds = all_kinds() if kinds is None else kinds
        self._lock = WriterLock(path)
        try:
            self._connection = connect_writer(path)
            with translated(path):
                prepare(self._connection, path, self._kinds, MIGRATIONS if migrations is None else migrations)
                settle_crash(self._connection)
                self._books = Books(self._connection)
        except BaseException:
            self._lock.release()
            raise
        self._segments: dict[str, list[Segment]] = {}
        self._data_version: int | None = None
        self._closed = False

    def write(self, batch: Batch) -> Sequence[RefusedRow]:
        """See :class:`kernelsight.stores.base.Writer`."""
        connection = self._connection
        with translated(self._path):
            try:
                connection.execute("BEGIN IMMEDIATE")
                refused, changed = self._write(batch)
                connection.execute("COMMIT")
            except BaseException:
                self._roll_back()
                raise
        self._books.committed(changed)
        return refused

    def _roll_back(self) -> None:
        self._data_version = None  # what is in memory is not what is stored
        if self._connection.in_transaction:
            self._connection.execute("ROLLBACK")

    def _write(self, batch: Batch) -> tuple[list[RefusedRow], dict[str, Account]]:
        self._notice_others()
        now = time.time_ns()
        refused = [row for struct, rows in batch.events.items() if rows for row in self._insert(struct, rows, now)]
        counts: dict[str, int] = {}
        for row in refused:
            kind = kind_of(row.struct).name
            counts[kind] = counts.get(kind, 0) + 1
        if rejected := [*batch.rejected, *(_as_rejected(row, now) for row in refused)]:
            keep_rejected(self._connection, rejected)
        return refused, self._books.save(batch.accounts, counts, now)

    def _notice_others(self) -> None:
        """Somebody with another client may have written through the views: read the books again if so."""
        version = integer(self._connection, "PRAGMA data_version")
        if version != self._data_version:
            self._segments = segment_books.load(self._connection)
            self._data_version = version

    def _insert(self, struct: type[Event], rows: list[Row], now: int) -> list[RefusedRow]:
        kind = kind_of(struct)
        hot = self._segments[kind.table][-1]
        latest = now + FUTURE_TOLERANCE_NS
        refused: list[RefusedRow] = []
        self._connection.execute("SAVEPOINT rows_of_kind")
        try:
            self._insert_together(kind, hot, rows, latest)
        except _ROW_ERRORS:
            self._connection.execute("ROLLBACK TO rows_of_kind")
            for row in rows:
                try:
                    self._insert_together(kind, hot, [row], latest)
                except _ROW_ERRORS as error:
                    refused.append(RefusedRow(struct, row, f"{type(error).__name__}: {error}"))
        self._connection.execute("RELEASE rows_of_kind")
        segment_books.save(self._connection, [hot])
        return refused

    def _insert_together(self, kind: Kind, hot: Segment, rows: list[Row], latest: int) -> None:
        placed = place(rows, hot.next_id_floor - 1, latest)
        self._connection.executemany(ddl.insert_row(kind, hot.number, with_id=placed.with_id), placed.rows)
        hot.rows += len(rows)
        hot.last_id = placed.last_id
        hot.first_timestamp = min(hot.first_timestamp or placed.first_timestamp, placed.first_timestamp)
        hot.last_timestamp = max(hot.last_timestamp or placed.last_timestamp, placed.last_timestamp)
        hot.late_ns = max(hot.late_ns, placed.late_ns)
        hot.early_ns = max(hot.early_ns, placed.early_ns)

    def maintain(self, *, budget_s: float) -> None:
        """See :class:`kernelsight.stores.base.Writer`."""

    def close(self) -> None:
        """See :class:`kernelsight.stores.base.Writer`."""
        if self._closed:
            return
        self._closed = True
        try:
            with translated(self._path):
                self._connection.close()
        finally:
            self._lock.release()


def _as_rejected(row: RefusedRow, now: int) -> Rejected:
    raw = repr(row.row).encode(errors="backslashreplace")
    return Rejected(now, kind_of(row.struct).name, row.reason, raw[:4096], len(raw))


def open_writer(url: str) -> SqliteWriter:
    """Open a database file for writing; its folder, the file and its tables are made where needed."""
    path = database_path(url)
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise StoreError(f"{path.parent}: cannot be made: {error.strerror}") from error
    return SqliteWriter(path)


def database_path(url: str) -> Path:
    """The file that ``--db-path`` names, links followed, so that one file has one lock."""
    if not url or url == ":memory:":
        raise StoreError(f"--db-path {url!r}: name a file; telemetry in memory would be seen by one process only")
    return Path(url).expanduser().resolve()
