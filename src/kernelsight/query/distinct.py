"""Which combinations of values occur in a range."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

from kernelsight.events.declare import Event, kind_of
from kernelsight.events.fields import Field, name_of
from kernelsight.query.filters import Filter, where_sql
from kernelsight.query.times import TimeRange
from kernelsight.stores.base import Reader


def distinct(
    reader: Reader,
    struct: type[Event],
    when: TimeRange,
    columns: Iterable[Field[Any, Any]],
    where: Iterable[Filter[Any]] = (),
) -> list[tuple[Any, ...]]:
    """The combinations of values of columns that occur, each once, in no order.

    There are none where the store is of a version that did not know the kind.

    Args:
        reader: of the store.
        struct: the kind.
        when: the range, both ends included.
        columns: whose values.
        where: conditions that all must hold.
    """
    kind = kind_of(struct)
    if not reader.holds(kind.table):
        return []
    names = [name_of(column) for column in columns]
    conditions = list(where)
    used = dict.fromkeys([*names, *(condition.column for condition in conditions), "timestamp"])
    relation, params = reader.relation(kind.table, when.start_ns, when.end_ns, (*used,))
    condition = where_sql(reader.dialect, kind, conditions)
    text = f"SELECT DISTINCT {', '.join(names)} FROM {relation} WHERE {condition.text}"
    return [tuple(row) for row in reader.tuples(text, (*params, *condition.params))]
