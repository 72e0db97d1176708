"""Read-only connections: plain SQL, and relations that touch only the segments of a time range."""

from __future__ import annotations

import sys
from collections.abc import Callable, Collection, Iterable, Iterator, Sequence
from contextlib import contextmanager, suppress
from itertools import islice, starmap
from pathlib import Path
from typing import Any, TypeVar

import apsw

from kernelsight.errors import ScanError, StoreError, UsageError
from kernelsight.events.declare import INT64_MAX, INT64_MIN, Kind
from kernelsight.events.wire import tables
from kernelsight.stores.base import Book, Reader, Refusal, Row, Value, Volume
from kernelsight.stores.damage import Damage
from kernelsight.stores.dialect import Dialect
from kernelsight.stores.sqlite import segments as segment_books
from kernelsight.stores.sqlite.connect import connect_reader, integer, reading_user, translated
from kernelsight.stores.sqlite.damage import described
from kernelsight.stores.sqlite.database_path import database_path
from kernelsight.stores.sqlite.ddl import quote, segment_name
from kernelsight.stores.sqlite.dialect import SqliteDialect
from kernelsight.stores.sqlite.hidden import Hidden
from kernelsight.stores.sqlite.migrations import MIGRATIONS, require_ours
from kernelsight.stores.sqlite.schema import column_names
from kernelsight.stores.sqlite.segments import Segment
from kernelsight.stores.sqlite.statements import may_run, require_one, tables_in
from kernelsight.stores.sqlite.twins.archive import Tests, archived_relation, show_archive
from kernelsight.stores.sqlite.twins.books import Twin
from kernelsight.stores.sqlite.twins.covering import Coverage, Span
from kernelsight.stores.sqlite.twins.shelf import Shelf
from kernelsight.stores.sqlite.whereabouts import identity, set_aside
from kernelsight.stores.sqlite.writer import SqliteWriter
from kernelsight.trusted_paths import as_owner_of, as_user

T = TypeVar("T")
_BOOKED = ("lines", "stored", "rejected", "dropped", "in_memory", "lost")
_READ_AHEAD = 200_000
"""Rows that are read before the first is given, so that damage among them is left out."""
_AHEAD_BYTES = 32 << 20
"""About as much is read ahead of a statement that a person wrote: it may make values of any length."""


def _opened(path: Path, user: tuple[int, int]) -> tuple[apsw.Connection, int]:
    """A connection, and the version of the layout.

    Args:
        path: the file.
        user: as whom root reads it.

    Raises:
        StoreError: it is not one of our databases, or of a newer version.
    """
    connection = connect_reader(path, user)
    try:
        with as_user(*user), translated(path):
            return connection, require_ours(connection, path, MIGRATIONS)
    except StoreError:
        connection.close()
        raise


class SqliteReader:
    """A view of the database that cannot change it; what it reads does not block the writer."""

    dialect: Dialect = SqliteDialect()

    def __init__(self, path: Path) -> None:
        self._path = path
        self._data_version: int | None = None
        self._segments: dict[str, list[Segment]] = {}
        self._names: dict[str, list[str]] = {}
        self._identity = identity(path)
        self._user = reading_user(path)
        self._connection, self.version = _opened(path, self._user)
        self._attend()

    def _attend(self) -> None:
        """Begin with a connection: nothing is hidden yet, and its virtual tables show what is archived."""
        self._shelf = Shelf(self._connection, self._path, self._user)
        self._hidden = Hidden(self._connection)
        show_archive(self._connection, self._archived_rows)

    def _follow(self) -> None:
        """Where the path names another file than before, go on with that as soon as it can be read."""
        now = identity(self._path)
        if now is None or now == self._identity:
            return
        with suppress(StoreError):  # its writer is still making it
            user = reading_user(self._path)
            connection, self.version = _opened(self._path, user)
            self.close()
            self._user = user
            self._connection, self._identity = connection, now
            self._data_version = None
            self._forget()
            self._attend()

    @contextmanager
    def _reading(self) -> Iterator[None]:
        """Around every statement: SQLite opens and makes files beside the database with the first that needs them."""
        with as_user(*self._user), translated(self._path):
            yield

    def query(self, sql: str, params: Sequence[Value] = ()) -> list[dict[str, Value]]:
        """See :class:`kernelsight.stores.base.Reader`."""
        return self._over_damage(sql, lambda: self._dicts(sql, params))

    def statement(self, sql: str) -> tuple[Sequence[str], Iterator[Row]]:
        """See :class:`kernelsight.stores.base.Reader`."""
        require_one(sql)
        self._refresh()
        self._hidden.show_archived(table for table in sorted(tables_in(sql, tables())) if self._archived(table))

        def read() -> tuple[list[str], list[Row], Iterator[Row]]:
            cursor = self._connection.cursor()
            self._connection.authorizer = may_run
            try:
                cursor.execute(sql)
                names = [column[0] for column in cursor.get_description()]
                return names, list(_ahead(cursor)), cursor
            except apsw.ExecutionCompleteError:
                return [], [], iter(())
            except apsw.AuthError as error:
                raise UsageError("only statements that read are run here, such as SELECT") from error
            except apsw.SQLError as error:
                raise UsageError(f"SQLite does not take the statement: {error}") from error
            finally:
                self._connection.authorizer = None

        names, rows, rest = self._over_damage(sql, read)
        return names, self._then(rows, rest)

    def _then(self, rows: list[Row], rest: Iterator[Row]) -> Iterator[Row]:
        yield from rows
        with translated(self._path):  # damage that is met now cannot be left out any more: the statement fails
            yield from rest

    def _dicts(self, sql: str, params: Sequence[Value]) -> list[dict[str, Value]]:
        cursor = self._connection.execute(sql, tuple(params))
        try:
            names = [column[0] for column in cursor.get_description()]
        except apsw.ExecutionCompleteError:
            return []
        return [dict(zip(names, row, strict=True)) for row in cursor]

    def _over_damage(self, sql: str, read: Callable[[], T]) -> T:
        """Read; where damage is met that can be hidden, hide it and read the rest."""
        self._follow()
        with self._reading():
            self._hidden.refresh()
            while True:
                try:
                    return read()
                except apsw.CorruptError:
                    if not self._hidden.find(sql):
                        raise
                except ScanError:
                    if not self._shelf.find_spoilt():
                        raise

    def tuples(self, sql: str, params: Sequence[Value] = ()) -> Iterator[Row]:
        """See :class:`kernelsight.stores.base.Reader`."""
        rows, rest = self._over_damage(sql, lambda: self._first(sql, params))
        yield from self._then(rows, rest)

    def objects(self, make: Callable[..., T], sql: str, params: Sequence[Value] = ()) -> list[T]:
        """See :class:`kernelsight.stores.base.Reader`."""
        return self._over_damage(sql, lambda: list(starmap(make, self._connection.execute(sql, tuple(params)))))

    def _first(self, sql: str, params: Sequence[Value]) -> tuple[list[Row], Iterator[Row]]:
        """The first rows, read ahead of being given, and the iterator over the others."""
        cursor = self._connection.execute(sql, tuple(params))
        return list(islice(cursor, _READ_AHEAD)), cursor

    def relation(
        self,
        table: str,
        start_ns: int | None = None,
        end_ns: int | None = None,
        columns: Iterable[str] | None = None,
    ) -> tuple[str, tuple[Value, ...]]:
        """See :class:`kernelsight.stores.base.Reader`.

        A column that is declared but not stored yet, because no writer of this version has opened
        the database, reads as NULL.
        """
        segments = self._load(table)
        if not segments:
            return self._plain_relation(table, start_ns, end_ns, columns)
        kind = tables().get(table)
        stored = self._columns(segments[-1].name)
        known = ("id", *kind.column_names) if kind else tuple(stored)
        names = _checked(table, known, columns)
        selected = ", ".join(quote(name) if name in stored else f"NULL AS {quote(name)}" for name in names)
        within = [segment for segment in self._whole(segments) if segment.overlaps(start_ns, end_ns)]
        archived = (
            [archived_relation(table, names, start_ns, end_ns, sorted(self._stored(table)))]
            if any(twin.overlaps(start_ns, end_ns) for twin in self._archived(table))
            else []
        )
        if not within and not archived:
            return f"(SELECT {selected} FROM {quote(segments[-1].name)} WHERE 0)", ()
        return _joined(within, selected, start_ns, end_ns, archived)

    def relation_of(
        self, segments: Sequence[Segment], start_ns: int | None, end_ns: int | None, columns: Sequence[str]
    ) -> tuple[str, tuple[Value, ...]]:
        """As :meth:`relation`, of some segments of a table only, of which there is at least one."""
        stored = self._columns(segments[-1].name)
        selected = ", ".join(quote(name) if name in stored else f"NULL AS {quote(name)}" for name in columns)
        return _joined(segments, selected, start_ns, end_ns, [])

    # --- by column ----------------------------------------------------------------------------------

    @contextmanager
    def one_state(self) -> Iterator[None]:
        """While entered, what is read is of one state of the database."""
        self._refresh()
        connection = self._connection
        with self._reading():
            connection.execute("BEGIN")
        try:
            yield
        finally:
            with suppress(apsw.ConnectionClosedError, apsw.SQLError):  # another file is read meanwhile
                connection.execute("COMMIT")

    def coverage(self, table: str, span: Span) -> Coverage:
        """Which rows of a range are in twins, and which only in segments."""
        with self._reading():
            return self._shelf.coverage(table, self._whole(self._load(table)), span)

    def volume(self, table: str, start_ns: int | None = None, end_ns: int | None = None) -> Volume:
        """See :class:`kernelsight.stores.base.Reader`."""
        within = [segment for segment in self._whole(self._load(table)) if segment.overlaps(start_ns, end_ns)]
        twins = [twin for twin in self._shelf.twins(table) if twin.overlaps(start_ns, end_ns)]
        archived = sum(twin.rows for twin in self._archived(table) if twin.overlaps(start_ns, end_ns))
        return Volume(
            rows=sum(segment.rows for segment in within) + archived,
            by_column=sum(twin.rows for twin in twins),
            parts=len({twin.file for twin in twins}),
            only_by_column=archived,
            is_loaded="duckdb" in sys.modules,
        )

    def _stored(self, table: str) -> set[int]:
        return {segment.number for segment in self._whole(self._load(table))}

    def _archived(self, table: str) -> list[Twin]:
        """The twins that alone have their rows."""
        stored = self._stored(table)
        return [twin for twin in self._shelf.twins(table) if twin.number not in stored]

    def _archived_rows(
        self, kind: Kind, columns: Sequence[str], tests: Tests, besides: Collection[int] | None
    ) -> Iterator[Row]:
        """For the virtual tables, while a statement runs."""
        if besides is None:
            stored = self._stored(kind.table)
        else:  # damage may have been met since
            stored = {number for number in besides if segment_name(kind.table, number) not in self._hidden.reasons}
        return self._shelf.archived_rows(kind, stored, columns, tests)

    def by_column(self) -> Reader | None:
        """See :class:`kernelsight.stores.base.Reader`."""
        from kernelsight.stores.sqlite.twins.scans import ColumnReader  # noqa: PLC0415 - loads DuckDB

        self._follow()
        return ColumnReader(self, self._shelf.engine())

    def holds(self, table: str) -> bool:
        """See :class:`kernelsight.stores.base.Reader`."""
        return bool(self._load(table) or self._columns(table))

    def bounds(self, table: str) -> tuple[int, int] | None:
        """See :class:`kernelsight.stores.base.Reader`."""
        segments = self._load(table)
        if not segments:
            return self._read_bounds(self._existing(table))
        spans = [bounds for segment in self._whole(segments) if segment.rows and (bounds := self._bounds_of(segment))]
        spans += [(twin.first_timestamp, twin.last_timestamp) for twin in self._archived(table)]
        if not spans:
            return None
        return min(first for first, _ in spans), max(last for _, last in spans)

    def _bounds_of(self, segment: Segment) -> tuple[int, int] | None:
        first, last = segment.first_timestamp, segment.last_timestamp
        if segment.stale or first is None or last is None:
            return self._read_bounds(segment.name)
        return first, last

    def _read_bounds(self, table: str) -> tuple[int, int] | None:
        """Bounds from the rows themselves: two lookups where the timestamp is indexed."""
        name = quote(table)
        [(first, last)] = self._fetch(
            f"SELECT (SELECT min(timestamp) FROM {name}), (SELECT max(timestamp) FROM {name})"
        )
        return None if first is None else (int(first), int(last))

    def count(self, table: str) -> int:
        """See :class:`kernelsight.stores.base.Reader`."""
        segments = self._load(table)
        if segments:
            archived = sum(twin.rows for twin in self._archived(table))
            return sum(segment.rows for segment in self._whole(segments)) + archived
        [(rows,)] = self._fetch(f"SELECT count(*) FROM {quote(self._existing(table))}")
        return int(rows)

    def _load(self, table: str) -> list[Segment]:
        self._refresh()
        if table not in self._segments:
            with self._reading():
                self._segments[table] = segment_books.load_table(self._connection, table)
        return self._segments[table]

    def _refresh(self) -> None:
        """Forget what the books said and which columns there are, where somebody has written since."""
        self._follow()
        with self._reading():
            version = integer(self._connection, "PRAGMA data_version")
        if version != self._data_version:
            self._data_version = version
            self._forget()

    def _forget(self) -> None:
        self._segments.clear()
        self._names.clear()
        self._shelf.forget()

    def _whole(self, segments: Iterable[Segment]) -> list[Segment]:
        return [s for s in segments if s.damage is None and s.name not in self._hidden.reasons]

    def books(self) -> Sequence[Book]:
        """See :class:`kernelsight.stores.base.Reader`."""
        accounts = self.query(f"SELECT kind, {', '.join(_BOOKED)} FROM collectors WHERE lines > 0 ORDER BY kind")
        return [Book(str(row["kind"]), *(int(row[name] or 0) for name in _BOOKED)) for row in accounts]

    def refusals(self, limit: int) -> Sequence[Refusal]:
        """See :class:`kernelsight.stores.base.Reader`."""
        rows = self.query(
            "SELECT kind, reason, count(*) AS lines, max(timestamp) AS last_timestamp FROM rejected_events"
            " GROUP BY kind, reason ORDER BY lines DESC, kind, reason LIMIT ?",
            (limit,),
        )
        return [
            Refusal(str(row["kind"]), str(row["reason"]), int(row["lines"] or 0), _stamp(row["last_timestamp"]))
            for row in rows
        ]

    def damages(self, *, look_s: float = 0.0) -> Sequence[Damage]:
        """See :class:`kernelsight.stores.base.Reader`."""
        with self._reading():
            if look_s:
                self._hidden.look(look_s)
            stored = segment_books.load(self._connection)
        parts: list[Damage] = []
        for table, segments in stored.items():
            twinned = {twin.number for twin in self._shelf.twins(table)}  # their rows are read from there
            parts += [
                described(segment, reason)
                for segment in segments
                if (reason := segment.damage or self._hidden.reasons.get(segment.name))
                and segment.number not in twinned
            ]
            parts += self._shelf.lost(table, self._stored(table))
        return [*parts, *(_described_file(file) for file in set_aside(self._path))]

    def _fetch(self, sql: str) -> list[Any]:
        return self._over_damage(sql, lambda: self._connection.execute(sql).fetchall())

    def _columns(self, table: str) -> list[str]:
        """The columns of a table whose books were just asked for, which is when they are refreshed."""
        if table not in self._names:
            with self._reading():
                self._names[table] = column_names(self._connection, table)
        return self._names[table]

    def _existing(self, table: str) -> str:
        if not self._columns(table):
            raise StoreError(f"{self._path}: has no table {table!r}")
        return table

    def _plain_relation(
        self, table: str, start_ns: int | None, end_ns: int | None, columns: Iterable[str] | None
    ) -> tuple[str, tuple[Value, ...]]:
        """A relation over a table that is not made of segments, such as ``rejected_events``."""
        selected = ", ".join(map(quote, _checked(table, self._columns(self._existing(table)), columns)))
        limits = [("timestamp >= ?", start_ns), ("timestamp <= ?", end_ns)]
        terms = [(term, value) for term, value in limits if value is not None]
        where = f" WHERE {' AND '.join(term for term, _ in terms)}" if terms else ""
        sql = f"(SELECT {selected} FROM {quote(table)}{where})"
        return sql, tuple(value for _, value in terms)

    def close(self) -> None:
        """See :class:`kernelsight.stores.base.Reader`."""
        self._shelf.close()
        with self._reading():
            self._connection.close()


def _ahead(rows: Iterator[Row]) -> Iterator[Row]:
    """The first rows, as many as memory is meant for; the others are still to come from the same iterator."""
    size = 0
    for row in islice(rows, _READ_AHEAD):
        yield row
        size += 8 * len(row) + sum(len(value) for value in row if isinstance(value, str | bytes))
        if size > _AHEAD_BYTES:
            return


def _stamp(value: Value) -> int | None:
    return value if isinstance(value, int) else None


def _described_file(path: Path) -> Damage:
    return Damage("all tables", path.name, None, None, None, "the whole part was set aside")


def _checked(table: str, known: Iterable[str], columns: Iterable[str] | None) -> list[str]:
    known = list(known)
    names = known if columns is None else list(columns)
    if unknown := [name for name in names if name not in known]:
        raise StoreError(f"{table} has no column {unknown[0]!r}; it has {', '.join(known)}")
    return names


def _joined(
    segments: Iterable[Segment], selected: str, start_ns: int | None, end_ns: int | None, others: Sequence[str]
) -> tuple[str, tuple[Value, ...]]:
    arms: list[str] = []
    params: list[Value] = []
    for segment in segments:
        terms = _terms(segment, start_ns, end_ns)
        where = f" WHERE {' AND '.join(term for term, _ in terms)}" if terms else ""
        arms.append(f"SELECT {selected} FROM {quote(segment.name)}{where}")
        params.extend(value for _, value in terms)
    return f"({' UNION ALL '.join((*arms, *others))})", tuple(params)


def _terms(segment: Segment, start_ns: int | None, end_ns: int | None) -> list[tuple[str, int]]:
    """The conditions that a segment's rows must be put to; a segment that lies within the range needs none."""
    terms: list[tuple[str, int]] = []
    if start_ns is not None and (segment.first_timestamp is None or segment.first_timestamp < start_ns):
        terms.append(("timestamp >= ?", start_ns))
        if segment.in_order:
            terms.append(("id >= ?", max(INT64_MIN, start_ns - segment.early_ns)))
    if end_ns is not None and (segment.last_timestamp is None or segment.last_timestamp > end_ns or not segment.full):
        terms.append(("timestamp <= ?", end_ns))
        if segment.in_order:
            terms.append(("id <= ?", min(INT64_MAX, end_ns + segment.late_ns)))
    return terms


def open_reader(url: str) -> SqliteReader:
    """Open a database file for reading only; one of an older version is migrated first."""
    path = database_path(url)
    reader = SqliteReader(path)
    if reader.version < len(MIGRATIONS):
        reader.close()
        with as_owner_of(path.parent):
            SqliteWriter(path).close()
        reader = SqliteReader(path)
    return reader
