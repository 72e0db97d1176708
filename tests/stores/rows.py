"""Rows of any kind, made from its declaration, for tests of stores."""

from __future__ import annotations

import time

from kernelsight.events.declare import Column, Event, Kind
from kernelsight.events.wire import tables
from kernelsight.stores.base import Row, Value

SECOND = 10**9
BASE = time.time_ns() - 3 * 3600 * SECOND


def kind(table: str) -> Kind:
    return tables()[table]


def struct(table: str) -> type[Event]:
    return tables()[table].struct


def value(column: Column, number: int) -> Value:
    """A value that fits the column and differs from row to row."""
    if column.choices:
        return column.choices[number % len(column.choices)]
    return {
        "INTEGER": -number if column.unsigned64 else number * 7,
        "REAL": number / 8,
        "TEXT": f"text {number} 'quoted'; DROP TABLE x; \n é",
        "BOOLEAN": number % 2 == 0,
    }[column.type]


def row(table: str, number: int, timestamp: int | None = None, **values: Value) -> Row:
    """A row whose columns all have a value; some are set by name."""
    made = {column.name: value(column, number) for column in kind(table).columns}
    made["timestamp"] = BASE + number * SECOND if timestamp is None else timestamp
    unknown = values.keys() - made.keys()
    assert not unknown, unknown
    return tuple((made | values).values())


def rows(table: str, count: int, start: int = 0) -> list[Row]:
    """Rows one second apart."""
    return [row(table, number) for number in range(start, start + count)]


def as_dict(table: str, stored: Row) -> dict[str, Value]:
    """A row as a reader gives it, without its id."""
    return dict(zip(kind(table).column_names, stored, strict=True))
