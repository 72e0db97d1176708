"""Rows of one table by time."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any, TypeVar

import msgspec

from kernelsight.errors import UsageError
from kernelsight.events.declare import EARLIEST_EPOCH_NS, INT64_MAX, Column, Event, Kind
from kernelsight.events.unsigned import unwrap_u64
from kernelsight.moments import format_time
from kernelsight.query.dialect import Sql, run
from kernelsight.query.filters import Where, conditions, where_sql
from kernelsight.query.planner import scan
from kernelsight.query.source import Source, column_named, columns_named, kind_named, opened
from kernelsight.query.times import Time, TimeRange, time_range
from kernelsight.stores.base import Reader, Value

Row = dict[str, Value]
E = TypeVar("E", bound=Event)


def rows(  # noqa: PLR0913 - a question has as many parts, all but the first three by keyword
    source: Source,
    table: str,
    start: Time,
    end: Time = "now",
    *,
    where: Where = (),
    columns: Iterable[str] | str | None = None,
    order_by: str = "timestamp",
    descending: bool = False,
    limit: int | None = None,
) -> list[Row]:
    """Rows of a table within a time range, both ends included.

    Args:
        source: the store.
        table: name of a table (`syscall_events`) or kind (`syscall`).
        start: first moment.
        end: last moment.
        where: conditions that all must hold.
        columns: those wanted besides ``timestamp`` and ``time``; all by default, the row's ``id`` then too.
        order_by: a column; NULLs come last, and of equal values the row that was stored first comes first.
        descending: the other way round.
        limit: at most so many rows.

    Returns:
        one dict a row: ``timestamp`` (ns), ``time`` (ISO 8601 with its offset), and the columns; flags are bool,
        unsigned 64-bit columns (addresses, cgroup ids) not negative.

    Raises:
        UsageError: no such table, column or time.
        StoreError: the store cannot be read.
    """
    kind = kind_named(table)
    when = time_range(start, end)
    with opened(source) as reader:
        return scan(
            reader,
            [(kind.table, when)],
            lambda using: rows_of(
                using, kind, when, where=where, columns=columns, order_by=order_by, descending=descending, limit=limit
            ),
            lookup=True,
        )


def rows_of(  # noqa: PLR0913 - as above
    reader: Reader,
    kind: Kind,
    when: TimeRange,
    *,
    where: Where = (),
    columns: Iterable[str] | str | None = None,
    order_by: str = "timestamp",
    descending: bool = False,
    limit: int | None = None,
) -> list[Row]:
    """As :func:`rows`, for callers that have a reader, a kind and a range already."""
    wanted = None if columns is None else _wanted(kind, columns)
    order = column_named(kind, order_by).name
    if limit is not None and not 0 <= limit <= INT64_MAX:
        raise UsageError(f"limit {limit}: give a number of rows, 0 or more")
    test = conditions(where)
    needed = None if wanted is None else [*{*wanted, order, "id", *(condition.column for condition in test)}]
    relation, params = reader.relation(kind.table, when.start_ns, when.end_ns, needed)
    condition = where_sql(reader.dialect, kind, test)
    text = f"SELECT {'*' if wanted is None else ', '.join(wanted)} FROM {relation} WHERE {condition.text}"
    nulls_last = "" if order == "timestamp" else " NULLS LAST"
    # Of equal values the first stored comes first, or last where the greatest do: so an index on them gives the order.
    text += f" ORDER BY {order}{' DESC, id DESC' if descending else f'{nulls_last}, id'}"
    params = (*params, *condition.params)
    if limit is not None:
        text, params = f"{text} LIMIT ?", (*params, limit)
    return [decoded(kind, row) for row in run(reader, Sql(text, params))]


def decoded(kind: Kind, row: Row) -> Row:
    """A row as it is handed out: ``time`` beside ``timestamp``, and the values as :func:`unwrapped`."""
    return with_time(unwrapped(kind, row))


def event_of(struct: type[E], row: Mapping[str, Any]) -> E:
    """The event that a row was stored of; columns that are not the kind's are left out."""
    values = {name: row[name] for name in struct.__struct_fields__}
    stamp = values["timestamp"]
    if not isinstance(stamp, int) or stamp >= EARLIEST_EPOCH_NS:
        return msgspec.convert(values, struct)
    event = msgspec.convert({**values, "timestamp": EARLIEST_EPOCH_NS}, struct)
    event.timestamp = stamp  # of a clock that was never set
    return event


def unwrapped(kind: Kind, row: Row) -> Row:
    """The row's values as they are meant, in place: flags as bool, unsigned 64-bit columns not negative."""
    for name, value in row.items():
        column = kind.by_name.get(name)
        if column is not None:
            row[name] = _meant(column, value)
    return row


def _meant(column: Column, value: Value) -> Value:
    if not isinstance(value, int):
        return value
    if column.type == "BOOLEAN":
        return bool(value)
    return unwrap_u64(value) if column.unsigned64 else value


def entity_text(kind: Kind, columns: Iterable[str], key: Iterable[Value]) -> str | None:
    """An entity as text; None for the machine."""
    values = unwrapped(kind, dict(zip(columns, key, strict=True)))
    return " ".join(f"{name}={value}" for name, value in values.items() if not isinstance(value, bytes)) or None


def with_time(row: Row) -> Row:
    """The row with ``timestamp`` and ``time`` first."""
    timestamp = row.get("timestamp")
    if not isinstance(timestamp, int):
        return row
    return {"timestamp": timestamp, "time": format_time(timestamp), **row}


def _wanted(kind: Kind, columns: Iterable[str] | str) -> list[str]:
    return list(dict.fromkeys(["timestamp", *columns_named(kind, columns)]))
