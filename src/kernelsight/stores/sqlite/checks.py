"""What plain SQL may write into a table of events: values of the declared types, as the daemon itself stores.

The daemon's values are checked when they are decoded. What another SQLite client inserts or changes goes through the
triggers of the public view, which refuse with the name of the column what no reader could make sense of.
SQLite's own conversions are allowed: `'5'` and `5.0` are integers, and any number is a text.
"""

from __future__ import annotations

from kernelsight.events.declare import Column, Kind
from kernelsight.stores.ddl import quote

_LARGEST_REAL = 1.7976931348623157e308


def literal(text: str) -> str:
    """A string as SQL text."""
    return "'" + text.replace("'", "''") + "'"


def refuse_bad_values(kind: Kind, row: str = "NEW") -> str:
    """A statement for a trigger that ends it with a message where a value of ``row`` cannot be stored."""
    messages = {column: literal(f"{kind.table}.{column.name} {_rule(column)}") for column in kind.columns}
    cases = "\n".join(
        f"    WHEN NOT {acceptable(column, row)} THEN RAISE(ABORT, {message})" for column, message in messages.items()
    )
    return f"  SELECT CASE\n{cases}\n  END;"


def all_acceptable(kind: Kind, columns: list[str], row: str) -> str:
    """A condition: the values of these columns can be stored."""
    return " AND ".join(acceptable(kind.by_name[name], row) for name in columns)


def acceptable(column: Column, row: str) -> str:
    """A condition, never NULL: the value of a column can be stored."""
    value = f"{row}.{quote(column.name)}"
    if column.choices:
        test = f"{value} IN ({', '.join(map(literal, column.choices))})"
    elif column.type == "TEXT":
        test = f"typeof({value}) <> 'blob'"
    elif column.type == "REAL":
        test = f"(typeof({value}) IN ('integer', 'real') AND abs({value} * 1.0) <= {_LARGEST_REAL!r})"
    else:
        test = (
            f"(typeof({value}) = 'integer'"
            f" OR (typeof({value}) = 'real' AND abs({value}) < 9.2e18 AND {value} = CAST({value} AS INTEGER))"
            f" OR (typeof({value}) = 'text' AND CAST(CAST({value} AS INTEGER) AS TEXT) = {value}))"
        )
    known = f"{value} IS NOT NULL" if column.required else f"{value} IS NULL"
    return f"({known} {'AND' if column.required else 'OR'} {test})"


def _rule(column: Column) -> str:
    if column.choices:
        rule = f"must be one of {', '.join(column.choices)}"
    else:
        rule = {"TEXT": "must be text", "REAL": "must be a finite number"}.get(column.type, "must be an integer")
    return rule if column.required else f"{rule}, or NULL"
