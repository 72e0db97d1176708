"""What plain SQL may write into a table of events: values of the declared types, as the daemon itself stores.

The daemon's values are checked when they are decoded. What another SQLite client inserts or changes goes through the
triggers of the public view, which refuse with the name of the column what no reader could make sense of.
SQLite's own conversions are allowed: `'5'` and `5.0` are integers, and any number is a text.
"""

from __future__ import annotations

from kernelsight.events.declare import Column, Kind
from kernelsight.stores.sqlite.ddl import quote

_INFINITE = "9e999"
"""SQLite reads a number beyond the largest real as infinite."""
_LEAST = "1<<63"
"""-2^63, the one real that equals an integer and that SQLite still keeps as a real in a column of integers."""


def literal(text: str) -> str:
    """A string as SQL text."""
    return "'" + text.replace("'", "''") + "'"


def refuse_bad_values(kind: Kind, row: str = "NEW") -> str:
    """A statement for a trigger that ends it with a message where a value of ``row`` cannot be stored.

    It is short: SQLite parses the triggers of all tables whenever a program opens the database.
    """
    messages = {column: literal(f"{kind.table}.{column.name} {_rule(column)}") for column in kind.columns}
    cases = "\n".join(f"    WHEN {_bad(column, row)} THEN RAISE(ABORT, {told})" for column, told in messages.items())
    return f"  SELECT CASE\n{cases}\n  END;"


def all_acceptable(kind: Kind, columns: list[str], row: str) -> str:
    """A condition, never NULL: the values of these columns can be stored."""
    return " AND ".join(f"({_bad(kind.by_name[name], row)}) IS NOT 1" for name in columns)


def _bad(column: Column, row: str) -> str:
    """A condition: the value of a column cannot be stored; false or NULL where it can be.

    A cast makes the other side of a comparison a number where it reads as one, as storing it does.
    """
    value = f"{row}.{quote(column.name)}"
    if column.choices:
        test = f"{value} NOT IN ({', '.join(map(literal, column.choices))})"
    elif column.type == "TEXT":
        test = f"typeof({value}) = 'blob'"
    elif column.type == "REAL":
        test = f"typeof({value}) IN ('text', 'blob') OR {value} IN ({_INFINITE}, -{_INFINITE})"
    else:
        test = f"CAST({value} AS INT) <> {value} OR {value}+0 = {_LEAST} AND typeof({value}+0) = 'real'"
    return f"{value} IS NULL OR {test}" if column.required else test


def _rule(column: Column) -> str:
    if column.choices:
        rule = f"must be one of {', '.join(column.choices)}"
    else:
        rule = {"TEXT": "must be text", "REAL": "must be a finite number"}.get(column.type, "must be an integer")
    return rule if column.required else f"{rule}, or NULL"
