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


def refuse_missing_values(kind: Kind) -> str:
    """Statements for a trigger that end it with a message where ``NEW`` has no value for a required column."""
    return "".join(
        f"  SELECT RAISE(ABORT, {_message(kind, column)}) WHERE NEW.{quote(column.name)} IS NULL;\n"
        for column in kind.columns
        if column.required
    )


def refuse_bad_values(kind: Kind, segment: str) -> str:
    """A statement for a trigger that ends it with a message where a value of ``NEW`` could not be stored as it should.

    It is short, as SQLite parses the triggers of all tables whenever a program opens the database. Therefore it comes
    after the row is stored under ``NEW.id``: what SQLite made of an integer says more than what was given.
    """
    cases = "\n".join(
        f"    WHEN {_badly_stored(column)} THEN RAISE(ABORT, {_message(kind, column)})" for column in kind.columns
    )
    return f"  SELECT CASE\n{cases}\n  END FROM {quote(segment)} WHERE id = NEW.id;"


def all_acceptable(kind: Kind, columns: list[str], row: str) -> str:
    """A condition, never NULL: the values of these columns, which are not stored yet, can be stored."""
    return " AND ".join(f"({_bad(kind.by_name[name], f'{row}.{quote(name)}')}) IS NOT 1" for name in columns)


def _bad(column: Column, value: str) -> str:
    """A condition: the value of a column cannot be stored; false or NULL where it can be."""
    if column.type in ("INTEGER", "BOOLEAN"):
        # A cast makes the other side of a comparison a number where it reads as one, as storing it does.
        test = f"CAST({value} AS INT) <> {value} OR {value}+0 = {_LEAST} AND typeof({value}+0) = 'real'"
    else:
        test = _not_of_type(column, value)
    return f"{value} IS NULL OR {test}" if column.required else test


def _badly_stored(column: Column) -> str:
    """The same condition of a value that is stored already, which a missing value of a required column cannot be."""
    name = quote(column.name)
    if column.type in ("INTEGER", "BOOLEAN"):
        # An integer is quoted as its digits, and anything else differently.
        return f"quote({name}) <> CAST(NEW.{name} AS INT) || ''"
    return _not_of_type(column, f"NEW.{name}")


def _not_of_type(column: Column, value: str) -> str:
    if column.choices:
        return f"{value} NOT IN ({', '.join(map(literal, column.choices))})"
    if column.type == "TEXT":
        return f"typeof({value}) = 'blob'"
    return f"typeof({value}) IN ('text', 'blob') OR {value} IN ({_INFINITE}, -{_INFINITE})"


def _message(kind: Kind, column: Column) -> str:
    return literal(f"{kind.table}.{column.name} {_rule(column)}")


def _rule(column: Column) -> str:
    if column.choices:
        rule = f"must be one of {', '.join(column.choices)}"
    else:
        rule = {"TEXT": "must be text", "REAL": "must be a finite number"}.get(column.type, "must be an integer")
    return rule if column.required else f"{rule}, or NULL"
