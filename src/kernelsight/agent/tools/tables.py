"""What is recorded."""

from __future__ import annotations

from kernelsight.agent.sanitising import Data, moment
from kernelsight.agent.tool import Desk, tool
from kernelsight.events.declare import Column
from kernelsight.events.wire import kinds
from kernelsight.query.source import kind_named, opened


@tool
def tables(desk: Desk) -> Data:
    """List the tables that have rows: meaning, columns that name an entity, number of rows, first and last time."""
    described = []
    with opened(desk.source) as reader:
        for kind in kinds().values():
            bounds = reader.bounds(kind.table)
            if bounds is not None:
                described.append(
                    {
                        "table": kind.table,
                        "meaning": kind.meaning.partition(". ")[0],
                        "entity": list(kind.entity),
                        "rows": reader.count(kind.table),
                        "first": moment(bounds[0]),
                        "last": moment(bounds[1]),
                    }
                )
    return {"tables": described}


@tool
def columns(desk: Desk, table: str) -> Data:
    """List the columns of a table: type, unit, meaning, and whether it is a counter, a level, a sum or a label.

    Args:
        table: its name.
    """
    del desk
    kind = kind_named(table)
    return {"table": kind.table, "source": kind.source, "columns": [_described(column) for column in kind.columns]}


def _described(column: Column) -> Data:
    semantics = type(column.semantics).__name__.lower()
    told = {"name": column.name, "is_a": semantics, "unit": column.unit, "meaning": column.meaning}
    return {name: value for name, value in {**told, "choices": list(column.choices)}.items() if value}
