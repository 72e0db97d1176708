"""Stored rows as the structs of their kind: for whoever computes with them, in half the time of :mod:`.rows`."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from functools import cache
from operator import attrgetter
from typing import Any, TypeVar

import msgspec

from kernelsight.events.declare import Event, kind_of
from kernelsight.events.fields import Field, getter, name_of
from kernelsight.events.unsigned import unwrap_u64
from kernelsight.query.dialect import Sql
from kernelsight.query.filters import Filter, where_sql
from kernelsight.query.times import TimeRange
from kernelsight.stores.base import Reader

E = TypeVar("E", bound=Event)

_ID = "id"
_MOST_PARAMETERS = 1_000
"""Of one statement, so that every store takes it."""
row_id: Callable[[Event], int] = attrgetter(_ID)
"""The id of a row that was read here: what evidence cites."""
moment: Callable[[Event], int] = getter(Event.timestamp)
"""When a row is of (ns since the epoch)."""


def stored_rows(  # noqa: PLR0913 - a question has as many parts, all but the first three by keyword
    reader: Reader,
    struct: type[E],
    when: TimeRange,
    *,
    where: Iterable[Filter[E]] = (),
    columns: Iterable[Field[E, Any]] | None = None,
    limit: int | None = None,
    order_by: Field[E, Any] | None = None,
    descending: bool = False,
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
        limit: at most so many rows, the first ones ...
        order_by: ... by this column, NULLs last, or by time.
        descending: the last ones instead.
    """
    condition = where_sql(reader.dialect, kind_of(struct), where)
    if limit is not None:
        nulls = "" if order_by is None else " NULLS LAST"
        order = f"{name_of(order_by or struct.timestamp)}{' DESC, id DESC' if descending else f'{nulls}, id'}"
        condition = Sql(f"{condition.text} ORDER BY {order} LIMIT ?", (*condition.params, limit))
    return _read(reader, struct, when, condition, columns)


def cited_rows(reader: Reader, struct: type[E], when: TimeRange, ids: Iterable[int]) -> list[E]:
    """The rows of a kind within a range that have one of these ids, by time; as :func:`stored_rows` gives them."""
    wanted = sorted(set(ids))
    rows: list[E] = []
    for first in range(0, len(wanted), _MOST_PARAMETERS):
        some = wanted[first : first + _MOST_PARAMETERS]
        rows += _read(reader, struct, when, Sql(f"id IN ({', '.join('?' * len(some))})", tuple(some)), None)
    return sorted(rows, key=moment)


def _read(
    reader: Reader, struct: type[E], when: TimeRange, condition: Sql, columns: Iterable[Field[E, Any]] | None
) -> list[E]:
    kind = kind_of(struct)
    if not reader.holds(kind.table):
        return []
    names = (*kind.column_names, _ID)
    wanted = {*names} if columns is None else {name_of(struct.timestamp), _ID, *map(name_of, columns)}
    relation, params = reader.relation(kind.table, when.start_ns, when.end_ns, names)
    selected = ", ".join(name if name in wanted else "NULL" for name in names)
    text = f"SELECT {selected} FROM {relation} WHERE {condition.text}"
    rows = reader.objects(with_id(struct), text, (*params, *condition.params))
    rows.sort(key=moment)  # they mostly lie in order: SQLite, which takes none for granted, needs ten times as long
    for column in kind.columns:
        if column.type == "BOOLEAN":
            _flags(rows, column.name)
        elif column.unsigned64:
            _unsigned(rows, column.name)
    return rows


@cache
def with_id(struct: type[E]) -> type[E]:
    """The struct with one more field, the row's id."""
    made: Any = msgspec.defstruct(f"Stored{struct.__name__}", [(_ID, int, 0)], bases=(struct,), module=__name__)
    return made  # type: ignore[no-any-return] # a subclass, as it was asked for


def _flags(rows: Iterable[Event], name: str) -> None:
    value_of = attrgetter(name)
    if not {*map(value_of, rows)} <= {None}:
        for row in rows:
            if isinstance(value := value_of(row), int):
                setattr(row, name, bool(value))


def _unsigned(rows: Iterable[Event], name: str) -> None:
    value_of = attrgetter(name)
    if any(isinstance(value, int) and value < 0 for value in {*map(value_of, rows)}):  # most are alike
        for row in rows:
            if isinstance(value := value_of(row), int) and value < 0:
                setattr(row, name, unwrap_u64(value))
