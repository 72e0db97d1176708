"""Stored rows as the structs of their kind: for whoever computes with them, in half the time of :mod:`.rows`."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from functools import cache
from operator import attrgetter
from typing import Any, TypeVar

import msgspec

from kernelsight.events.declare import Event, kind_of
from kernelsight.events.fields import Field, name_of
from kernelsight.events.unsigned import unwrap_u64
from kernelsight.query.filters import Where, conditions, where_sql
from kernelsight.query.times import TimeRange
from kernelsight.stores.base import Reader

E = TypeVar("E", bound=Event)

row_id: Callable[[Event], int] = attrgetter("id")
"""The id of a row that was read here: what evidence cites."""
moment: Callable[[Event], int] = attrgetter("timestamp")
"""When a row is of (ns since the epoch)."""


def stored_rows(  # noqa: PLR0913 - a question has as many parts, all but the first three by keyword
    reader: Reader,
    struct: type[E],
    when: TimeRange,
    *,
    where: Where = (),
    columns: Iterable[Field[E, Any]] | None = None,
    limit: int | None = None,
) -> list[E]:
    """The rows of a kind within a range, both ends included, by time.

    Each is an instance of the struct, with the row's id besides (:func:`row_id`). Flags are bool, unsigned 64-bit
    columns not negative; other values are as they are stored, and not validated: any SQLite client may have written
    them.

    There are none where the store is of a version that did not know the kind.

    Args:
        reader: of the store.
        struct: the kind.
        when: the range.
        where: conditions that all must hold.
        columns: those that are read besides ``timestamp`` and the id, which takes less time; the others are None.
        limit: at most so many rows, the first ones.
    """
    kind = kind_of(struct)
    if not reader.holds(kind.table):
        return []
    names = (*kind.column_names, "id")
    wanted = {*names} if columns is None else {"timestamp", "id", *map(name_of, columns)}
    condition = where_sql(kind, conditions(where))
    relation, params = reader.relation(kind.table, when.start_ns, when.end_ns, names)
    selected = ", ".join(name if name in wanted else "NULL" for name in names)
    text = f"SELECT {selected} FROM {relation} WHERE {condition.text}"
    params = (*params, *condition.params)
    if limit is not None:
        text, params = f"{text} ORDER BY timestamp LIMIT ?", (*params, limit)
    rows = reader.objects(_stored(struct), text, params)
    rows.sort(key=moment)  # they mostly lie in order: SQLite, which takes none for granted, needs ten times as long
    for column in kind.columns:
        if column.type == "BOOLEAN":
            _flags(rows, column.name)
        elif column.unsigned64:
            _unsigned(rows, column.name)
    return rows


@cache
def _stored(struct: type[E]) -> type[E]:
    """The struct with one more field, the row's id.

    ``row["column"]`` is for code that does not name columns by their declaration yet.
    """
    item: Any = object.__getattribute__
    made: Any = msgspec.defstruct(
        f"Stored{struct.__name__}", [("id", int, 0)], bases=(struct,), module=__name__, namespace={"__getitem__": item}
    )
    return made  # type: ignore[no-any-return] # a subclass, as it was asked for


def _flags(rows: Iterable[Event], name: str) -> None:
    value_of = attrgetter(name)
    for row in rows:
        if isinstance(value := value_of(row), int):
            setattr(row, name, bool(value))


def _unsigned(rows: Iterable[Event], name: str) -> None:
    value_of = attrgetter(name)
    for row in rows:
        if isinstance(value := value_of(row), int) and value < 0:
            setattr(row, name, unwrap_u64(value))
