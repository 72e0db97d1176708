"""Rows whose segments are gone, as tables of SQLite: virtual ones that read the twins (sqlite.org/vtab.html).

So whatever is asked of a reader sees them, in SQLite's own words. SQLite tests each row itself; the conditions that the
twins can test as well (comparisons of integers and of text) are handed on, so that fewer rows come.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Collection, Iterable, Iterator, Sequence
from dataclasses import dataclass
from typing import Any

import apsw

from kernelsight.events.declare import Kind
from kernelsight.events.wire import tables
from kernelsight.stores.base import Row, Value
from kernelsight.stores.sqlite.ddl import column_definition, quote

_OPERATORS = {
    apsw.SQLITE_INDEX_CONSTRAINT_EQ: "=",
    apsw.SQLITE_INDEX_CONSTRAINT_GT: ">",
    apsw.SQLITE_INDEX_CONSTRAINT_GE: ">=",
    apsw.SQLITE_INDEX_CONSTRAINT_LT: "<",
    apsw.SQLITE_INDEX_CONSTRAINT_LE: "<=",
}
_BEYOND = 63
"""SQLite tells of columns up to this one whether they are used."""
_SELECTIVITY = 10
"""A condition that is handed on leaves one row of so many, for SQLite's planner."""

Tests = Sequence[tuple[str, str, Value]]
"""Column, operator and value."""
Source = Callable[[Kind, Sequence[str], Tests, Collection[int] | None], Iterator[Row]]
"""Gives some columns of the rows of a kind that meet some conditions and are in none of some segments: those that the
rest of the statement reads; None: those that can be read."""
_BESIDES = "besides"
"""A hidden column: the numbers of these segments. Rows that leave a segment between the making of a statement and its
running would count twice without it."""


def archive_name(table: str) -> str:
    """Name of the virtual table of a table's archived rows."""
    return f"{table}__archived"


@dataclass(frozen=True, slots=True)
class _Asked:
    """What SQLite's planner settled on, as it is handed from there to the cursor."""

    columns: list[str]
    tests: list[tuple[str, str]]

    def text(self) -> str:
        return json.dumps([self.columns, self.tests])

    @classmethod
    def of(cls, text: str) -> _Asked:
        columns, tests = json.loads(text)
        return cls(columns, [(column, operator) for column, operator in tests])


def show_archive(connection: apsw.Connection, source: Source) -> None:
    """Make the virtual tables known to a reader's connection; none reads anything before it is asked.

    Args:
        connection: of a reader.
        source: where the rows come from.
    """
    for kind in tables().values():
        module: Any = _Module(kind, source)  # apsw's types ask for the methods of tables that are written, too
        connection.create_module(
            archive_name(kind.table),
            module,
            use_bestindex_object=True,
            eponymous=True,
            eponymous_only=True,
            read_only=True,
        )


class _Module:
    def __init__(self, kind: Kind, source: Source) -> None:
        self._kind = kind
        self._source = source

    def Connect(  # noqa: N802 - named by apsw
        self, connection: apsw.Connection, modulename: str, databasename: str, tablename: str, *args: object
    ) -> tuple[str, _Table]:
        del modulename, databasename, tablename, args
        connection.vtab_config(apsw.SQLITE_VTAB_INNOCUOUS)  # views of a connection that trusts no schema may read it
        columns = ", ".join(("id INTEGER", *map(column_definition, self._kind.columns)))
        return f"CREATE TABLE archived ({columns}, {_BESIDES} TEXT HIDDEN)", _Table(self._kind, self._source)

    Create = Connect


class _Table:
    def __init__(self, kind: Kind, source: Source) -> None:
        self._kind = kind
        self._names = ["id", *kind.column_names]
        self._source = source

    def BestIndexObject(self, info: apsw.IndexInfo) -> bool:  # noqa: N802
        tests: list[tuple[str, str]] = []
        for number in range(info.nConstraint):
            column = info.get_aConstraint_iColumn(number)
            operator = _OPERATORS.get(info.get_aConstraint_op(number))
            if not operator or not info.get_aConstraint_usable(number):
                continue
            if column == len(self._names):
                if operator == "=":
                    tests.append((_BESIDES, operator))
                    info.set_aConstraintUsage_argvIndex(number, len(tests))
                    info.set_aConstraintUsage_omit(number, True)
            elif self._can_test(info, number, column, operator):
                tests.append((self._names[max(column, 0)], operator))
                info.set_aConstraintUsage_argvIndex(number, len(tests))
        used = {number for number in info.colUsed if number < len(self._names)}
        if any(number >= _BEYOND for number in info.colUsed):
            used |= {*range(_BEYOND, len(self._names))}
        info.idxStr = _Asked(["id", *(self._names[number] for number in sorted(used - {0}))], tests).text()
        info.estimatedRows = 10**6 // _SELECTIVITY ** min(len(tests), 5)
        info.estimatedCost = float(10**6 // _SELECTIVITY ** min(len(tests), 5))
        return True

    def _can_test(self, info: apsw.IndexInfo, number: int, column: int, operator: str) -> bool:
        if column <= 0:  # the rowid, and the id, which are the same
            return True
        kind = self._kind.columns[column - 1].type
        plain = info.get_aConstraint_collation(number) == "BINARY"
        return kind in {"INTEGER", "BOOLEAN"} or (kind == "TEXT" and operator == "=" and plain)

    def Open(self) -> _Cursor:  # noqa: N802
        return _Cursor(self._kind, self._names, self._source)

    def Disconnect(self) -> None:  # noqa: N802
        pass

    Destroy = Disconnect


class _Cursor:
    def __init__(self, kind: Kind, names: Sequence[str], source: Source) -> None:
        self._kind = kind
        self._names = names
        self._source = source
        self._rows: Iterator[Row] = iter(())
        self._row: Row | None = None
        self._places: list[int | None] = []
        self._besides: str | None = None

    def Filter(self, number: int, text: str, args: Sequence[Value]) -> None:  # noqa: N802
        del number
        asked = _Asked.of(text)
        given = list(zip(asked.tests, args, strict=True))
        besides = self._besides = next((str(value) for (column, _), value in given if column == _BESIDES), None)
        # A value of another type than the column compares by rules of SQLite's own: it tests those rows alone.
        tests = [
            (column, operator, value)
            for (column, operator), value in given
            if column != _BESIDES and isinstance(value, str if self._is_text(column) else int)
        ]
        self._places = [asked.columns.index(name) if name in asked.columns else None for name in self._names]
        self._rows = self._source(self._kind, asked.columns, tests, None if besides is None else _numbers(besides))
        self.Next()

    def _is_text(self, column: str) -> bool:
        return column != "id" and self._kind.by_name[column].type == "TEXT"

    def Eof(self) -> bool:  # noqa: N802
        return self._row is None

    def Next(self) -> None:  # noqa: N802
        self._row = next(self._rows, None)

    def Rowid(self) -> Value:  # noqa: N802
        return self.Column(0)

    def Column(self, number: int) -> Value:  # noqa: N802
        if number == len(self._names):
            return self._besides
        place = self._places[max(number, 0)]
        return None if self._row is None or place is None else self._row[place]

    def Close(self) -> None:  # noqa: N802
        self._rows = iter(())


def archive_beside(table: str, segments: Iterable[int]) -> str:
    """What stands after FROM for the archived rows of a table, for a statement that also reads some segments."""
    return f"{quote(archive_name(table))} WHERE {_BESIDES} = '{','.join(map(str, segments))}'"


def _numbers(text: str) -> set[int]:
    return {int(number) for number in text.split(",") if number.isdecimal()}


def archived_relation(
    table: str, columns: Sequence[str], start_ns: int | None, end_ns: int | None, segments: Iterable[int]
) -> str:
    """SELECT the archived rows of a range: its ends as text, so that parameters of others are not shifted."""
    ends = ((">=", start_ns), ("<=", end_ns))
    terms = [f" AND timestamp {operator} {value}" for operator, value in ends if value is not None]
    return f"SELECT {', '.join(map(quote, columns))} FROM {archive_beside(table, segments)}{''.join(terms)}"
