"""Rows of one table as batches of Apache Arrow, a stretch of time after the other, so that few are in memory at a time.

It imports pyarrow, which takes 0.1 s: import it where it is used.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from typing import Any, TypeAlias

import pyarrow as pa

from kernelsight.events.declare import Column, Kind
from kernelsight.events.unsigned import unwrap_u64
from kernelsight.query.filters import Where, conditions, where_sql
from kernelsight.query.planner import scan
from kernelsight.query.source import columns_named
from kernelsight.query.times import TimeRange
from kernelsight.stores.base import Reader, Row, Value

BATCH_ROWS = 50_000
"""Rows of one batch, at most."""
STRETCH_ROWS = 200_000
"""Rows that one question may have to look at, where time can be divided further."""
STAMP = pa.timestamp("ns", tz="UTC")

Array: TypeAlias = "pa.Array[Any]"

_TYPES = {"INTEGER": pa.int64(), "REAL": pa.float64(), "TEXT": pa.string(), "BOOLEAN": pa.bool_()}
_PYTHON: dict[str, tuple[type, ...]] = {"INTEGER": (int,), "REAL": (float,), "TEXT": (str,), "BOOLEAN": (bool,)}


@dataclass(slots=True)
class Unreadable:
    """Values that another program stored and that are not of their column's type: they are null here."""

    values: dict[str, int] = field(default_factory=dict)
    """How many, by column."""

    def add(self, column: str, count: int) -> None:
        """Count some of a column."""
        self.values[column] = self.values.get(column, 0) + count


def schema_of(kind: Kind, columns: Sequence[str]) -> pa.Schema:
    """The columns as Arrow has them: `timestamp` in UTC with nanoseconds, flags as bool, addresses unsigned.

    The metadata of each has its unit and meaning, as they are declared.
    """
    return pa.schema([_field(kind.by_name[name]) for name in columns], metadata={"kernelsight.table": kind.table})


def wanted_columns(kind: Kind, columns: Iterable[str] | str | None) -> tuple[str, ...]:
    """`timestamp` and the columns that somebody asks for, all by default.

    Raises:
        UsageError: the kind has no such column.
    """
    if columns is None:
        return kind.column_names
    return tuple(dict.fromkeys(("timestamp", *columns_named(kind, columns))))


def record_batches(  # noqa: PLR0913 - a question has as many parts, all but the first three by keyword
    reader: Reader,
    kind: Kind,
    when: TimeRange,
    *,
    where: Where = (),
    columns: Iterable[str] | str | None = None,
    unreadable: Unreadable | None = None,
) -> Iterator[pa.RecordBatch]:
    """The rows of a kind within a range, both ends included, by time.

    Args:
        reader: of the store.
        kind: the kind.
        when: the range.
        where: conditions that all must hold.
        columns: those wanted besides ``timestamp``; all by default.
        unreadable: counts the values that are not of their column's type.

    Raises:
        UsageError: no such column.
        StoreError: the store cannot be read.
    """
    names = wanted_columns(kind, columns)
    schema = schema_of(kind, names)
    tests = conditions(where)
    where_sql(reader.dialect, kind, tests)  # a wrong condition is said before anything is read
    seen = Unreadable() if unreadable is None else unreadable
    for stretch in _stretches(reader, kind.table, when):
        rows = scan(reader, [(kind.table, stretch)], _asking(kind, stretch, names, tests), lookup=bool(tests))
        for first in range(0, len(rows), BATCH_ROWS):
            yield _batch(kind, schema, rows[first : first + BATCH_ROWS], seen)


def _asking(kind: Kind, when: TimeRange, names: Sequence[str], tests: Sequence[Any]) -> Callable[[Reader], list[Row]]:
    def ask(reader: Reader) -> list[Row]:
        needed = dict.fromkeys(("id", *names, *(test.column for test in tests)))
        relation, params = reader.relation(kind.table, when.start_ns, when.end_ns, needed)
        condition = where_sql(reader.dialect, kind, tests)
        text = f"SELECT {', '.join(names)} FROM {relation} WHERE {condition.text} ORDER BY timestamp, id"
        return list(reader.tuples(text, (*params, *condition.params)))

    return ask


def _stretches(reader: Reader, table: str, when: TimeRange) -> Iterator[TimeRange]:
    """Parts of a range, in order, of each of which so few rows have to be looked at that they fit into memory."""
    if not reader.holds(table):
        return
    rows = reader.volume(table, when.start_ns, when.end_ns).rows
    length = when.end_ns - when.start_ns
    if rows > STRETCH_ROWS and length:
        rows = scan(reader, [(table, when)], _counting(table, when))
    if rows > STRETCH_ROWS and length:
        middle = when.start_ns + length // 2
        yield from _stretches(reader, table, TimeRange(when.start_ns, middle))
        yield from _stretches(reader, table, TimeRange(middle + 1, when.end_ns))
    elif rows:
        yield when


def _counting(table: str, when: TimeRange) -> Callable[[Reader], int]:
    """Counts rows, but no more than decide whether a stretch is divided.

    The books tell the most that there may be. A moment in which the clock was wrong leaves parts of the store that seem
    to reach over decades.
    """

    def count(reader: Reader) -> int:
        relation, params = reader.relation(table, when.start_ns, when.end_ns, ["timestamp"])
        some = f"SELECT timestamp FROM {relation} AS counted LIMIT {STRETCH_ROWS + 1}"
        [(rows,)] = reader.tuples(f"SELECT count(*) FROM ({some}) AS counted", params)
        return int(rows or 0)

    return count


def _field(column: Column) -> pa.Field[Any]:
    known = {"unit": column.unit, "meaning": column.meaning}
    return pa.field(
        column.name, _type(column), metadata={f"kernelsight.{name}": text for name, text in known.items() if text}
    )


def _type(column: Column) -> pa.DataType:
    if column.name == "timestamp":
        return STAMP
    return pa.uint64() if column.unsigned64 else _TYPES[column.type]


def _batch(kind: Kind, schema: pa.Schema, rows: Sequence[Row], unreadable: Unreadable) -> pa.RecordBatch:
    arrays = [
        _array(kind.by_name[entry.name], values, unreadable)
        for entry, values in zip(schema, zip(*rows, strict=True), strict=True)
    ]
    return pa.RecordBatch.from_arrays(arrays, schema=schema)


def _array(column: Column, values: Sequence[Value], unreadable: Unreadable) -> Array:
    if column.unsigned64:
        values = [unwrap_u64(value) if isinstance(value, int) else value for value in values]
    elif column.type == "BOOLEAN":
        values = [bool(value) if isinstance(value, int) else value for value in values]
    elif column.type == "REAL":
        values = [float(value) if isinstance(value, int) else value for value in values]
    try:
        return pa.array(values, type=_type(column))
    except (pa.ArrowInvalid, pa.ArrowTypeError, OverflowError, UnicodeError):
        readable = [value if _is_readable(column, value) else None for value in values]
        unreadable.add(column.name, sum(a is not b for a, b in zip(values, readable, strict=True)))
        return pa.array(readable, type=_type(column))


def _is_readable(column: Column, value: Value) -> bool:
    if isinstance(value, str):
        return column.type == "TEXT" and _is_unicode(value)
    return isinstance(value, _PYTHON[column.type])


def _is_unicode(text: str) -> bool:
    try:
        text.encode()
    except UnicodeEncodeError:
        return False
    return True
