"""A reader that reads by column: twins through DuckDB, and the rows that are in none copied from SQLite."""

from __future__ import annotations

import os
import re
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import AbstractContextManager, suppress
from itertools import islice, starmap
from typing import Protocol, TypeVar

import duckdb
import msgspec

from kernelsight.errors import ScanError, StoreError, UsageError
from kernelsight.events.declare import Kind
from kernelsight.events.wire import tables
from kernelsight.stores.base import Book, Reader, Refusal, Row, Value, Volume
from kernelsight.stores.damage import Damage
from kernelsight.stores.dialect import Dialect
from kernelsight.stores.sqlite.ddl import quote, quoted
from kernelsight.stores.sqlite.segments import Segment
from kernelsight.stores.sqlite.twins.covering import Coverage, Span
from kernelsight.stores.sqlite.twins.dialect import DuckDbDialect
from kernelsight.stores.sqlite.twins.engine import Engine, alike, column_type, nothing

T = TypeVar("T")
_COPY = 20_000
"""Rows that are copied from SQLite at a time."""
_WORD = re.compile(r"\w+")
_WITHOUT_NAMES = {"STAR", "SHOW_REF", "PIVOT", "NATURAL"}
"""Parts of a parsed statement that use columns which it does not name: `*`, SUMMARIZE, PIVOT, NATURAL JOIN."""


class RowReader(Reader, Protocol):
    """The reader by row that one by column is made of."""

    def one_state(self) -> AbstractContextManager[None]:
        """While entered, what is read is of one state of the database."""

    def coverage(self, table: str, span: Span) -> Coverage:
        """Which rows of a range are in twins, and which only in segments."""

    def relation_of(
        self, segments: Sequence[Segment], start_ns: int | None, end_ns: int | None, columns: Sequence[str]
    ) -> tuple[str, tuple[Value, ...]]:
        """As :meth:`relation`, of some segments of a table only, of which there is at least one."""


class ColumnReader:
    """See :class:`kernelsight.stores.base.Reader`: the same rows as another reader gives, for one question.

    Rows that are in no twin are copied when a relation asks for them, so close it after the question.
    """

    dialect: Dialect = DuckDbDialect()

    def __init__(self, rows: RowReader, engine: Engine) -> None:
        self._rows = rows
        self._engine = engine
        self._copies: dict[tuple[object, ...], str] = {}

    def query(self, sql: str, params: Sequence[Value] = ()) -> list[dict[str, Value]]:
        """See :class:`kernelsight.stores.base.Reader`."""
        with self._engine.running() as cursor:
            cursor.execute(sql, list(params))
            names = [column[0] for column in cursor.description]
            return [dict(zip(names, row, strict=True)) for row in cursor.fetchall()]

    def statement(self, sql: str) -> tuple[Sequence[str], Iterator[Row]]:
        """See :class:`kernelsight.stores.base.Reader`; in DuckDB's SQL.

        Of a table that is named, only the columns are made known that the text has the names of, and all where it
        reads whole rows: rows that are in no twin have to be copied.
        """
        words = {word.lower() for word in _WORD.findall(sql)}
        everything = self._reads_whole_rows(sql)
        kinds = [kind for kind in tables().values() if kind.table in words]
        for kind in kinds:
            names = [name for name in ("id", *kind.column_names) if everything or name in words] or ["timestamp"]
            relation, _ = self.relation(kind.table, columns=names)
            with self._engine.running() as cursor:
                cursor.execute(f"CREATE OR REPLACE VIEW {quote(kind.table)} AS SELECT * FROM {relation}")
        with self._engine.running() as cursor:
            self._require_reading(sql)
            try:
                cursor.execute(sql)
            except (duckdb.ProgrammingError, duckdb.DataError) as error:
                raise UsageError(f"DuckDB does not take the statement: {' '.join(str(error).split())}") from error
            names = [column[0] for column in cursor.description]
        return names, self._engine.rest(cursor)

    def _reads_whole_rows(self, sql: str) -> bool:
        """Whether a statement may use columns without their names; true also where DuckDB does not tell its parts."""
        with self._engine.running() as cursor:
            [(text,)] = cursor.execute("SELECT CAST(json_serialize_sql(?) AS VARCHAR)", [sql]).fetchall()
        try:
            parsed = msgspec.json.decode(text)
        except RecursionError:  # thousands of terms: each is a level
            return True
        return bool(parsed["error"]) or reads_whole_rows(parsed)

    def _require_reading(self, sql: str) -> None:
        try:
            statements = duckdb.extract_statements(sql)
        except duckdb.Error as error:
            raise UsageError(f"DuckDB does not take the statement: {' '.join(str(error).split())}") from error
        if len(statements) != 1:
            raise UsageError("give one statement at a time")
        if statements[0].type not in {duckdb.StatementType.SELECT, duckdb.StatementType.EXPLAIN}:
            raise UsageError("only statements that read are run here, such as SELECT")

    def tuples(self, sql: str, params: Sequence[Value] = ()) -> Iterator[Row]:
        """See :class:`kernelsight.stores.base.Reader`."""
        return self._engine.rows(sql, params)

    def objects(self, make: Callable[..., T], sql: str, params: Sequence[Value] = ()) -> list[T]:
        """See :class:`kernelsight.stores.base.Reader`."""
        return list(starmap(make, self._engine.rows(sql, params)))

    def relation(
        self,
        table: str,
        start_ns: int | None = None,
        end_ns: int | None = None,
        columns: Iterable[str] | None = None,
    ) -> tuple[str, tuple[Value, ...]]:
        """See :class:`kernelsight.stores.base.Reader`."""
        kind = tables().get(table)
        if kind is None:
            raise ScanError(f"{table} has no twins")
        names = self._names(kind, columns)
        with self._rows.one_state():
            covered = self._rows.coverage(table, (start_ns, end_ns))
            copy = self._copy(kind, covered, (start_ns, end_ns), names)
        arms = [self._engine.files_sql(kind, group, (start_ns, end_ns), names) for group in alike(covered.files)]
        if copy is not None:
            arms.append(f"SELECT {quoted(names)} FROM {copy}")
        return f"({' UNION ALL '.join(arms) or nothing(kind, names)})", ()

    def _names(self, kind: Kind, columns: Iterable[str] | None) -> list[str]:
        known = ("id", *kind.column_names)
        names = list(known if columns is None else columns)
        if unknown := [name for name in names if name not in known]:
            raise StoreError(f"{kind.table} has no column {unknown[0]!r}; it has {', '.join(known)}")
        return names

    def _copy(self, kind: Kind, covered: Coverage, span: Span, names: Sequence[str]) -> str | None:
        """The rows that are in no twin, as a table of DuckDB."""
        if not covered.segments:
            return None
        key = (kind.table, span, tuple(names))
        if key not in self._copies:
            copy = f"copied_{len(self._copies) + 1}_{os.urandom(4).hex()}"
            relation, params = self._rows.relation_of(covered.segments, *span, names)
            rows = self._rows.tuples(f"SELECT {quoted(names)} FROM {relation}", params)
            definitions = ", ".join(f"{quote(name)} {column_type(kind, name)}" for name in names)
            lists = ", ".join(f"unnest(?::{column_type(kind, name)}[])" for name in names)
            with self._engine.running() as connection:
                connection.execute(f"CREATE TABLE {copy} ({definitions})")
            self._copies[key] = copy
            while some := list(islice(rows, _COPY)):
                values = [list(column) for column in zip(*some, strict=True)]
                with self._engine.running() as connection:
                    connection.execute(f"INSERT INTO {copy} SELECT {lists}", values)
        return self._copies[key]

    def volume(self, table: str, start_ns: int | None = None, end_ns: int | None = None) -> Volume:
        """See :class:`kernelsight.stores.base.Reader`."""
        return self._rows.volume(table, start_ns, end_ns)

    def holds(self, table: str) -> bool:
        """See :class:`kernelsight.stores.base.Reader`."""
        return self._rows.holds(table)

    def bounds(self, table: str) -> tuple[int, int] | None:
        """See :class:`kernelsight.stores.base.Reader`."""
        return self._rows.bounds(table)

    def count(self, table: str) -> int:
        """See :class:`kernelsight.stores.base.Reader`."""
        return self._rows.count(table)

    def books(self) -> Sequence[Book]:
        """See :class:`kernelsight.stores.base.Reader`."""
        return self._rows.books()

    def refusals(self, limit: int) -> Sequence[Refusal]:
        """See :class:`kernelsight.stores.base.Reader`."""
        return self._rows.refusals(limit)

    def damages(self, *, look_s: float = 0.0) -> Sequence[Damage]:
        """See :class:`kernelsight.stores.base.Reader`."""
        return self._rows.damages(look_s=look_s)

    def by_column(self) -> ColumnReader:
        """It does already."""
        return self

    def close(self) -> None:
        """Let go of the rows that were copied for the question."""
        with suppress(duckdb.Error):
            for copy in self._copies.values():
                self._engine.connection.execute(f"DROP TABLE IF EXISTS {copy}")
        self._copies.clear()


def reads_whole_rows(parsed: object) -> bool:
    """Whether a statement, as DuckDB's `json_serialize_sql` tells it, uses columns that it does not name.

    The name of a table in the place of a column is a whole row, too: `SELECT count(DISTINCT t) FROM t`.
    """
    relations: set[str] = set()
    columns: set[str] = set()
    waiting = [parsed]
    while waiting:
        part = waiting.pop()
        if isinstance(part, list):
            waiting += part
        elif isinstance(part, dict):
            if {part.get("type"), part.get("ref_type")} & _WITHOUT_NAMES:
                return True
            if part.get("type") == "BASE_TABLE":
                relations |= {part["table_name"].lower(), part["alias"].lower()}
            if part.get("type") == "COLUMN_REF":
                columns.add(part["column_names"][-1].lower())
            waiting += part.values()
    return bool(relations & columns)
