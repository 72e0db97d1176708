"""SQLite DDL, made from the declarations of the events.

Every table of events is a row of *segments* (tables named ``<table>__<number>``) behind a view under
the public name; this module says what one segment looks like, :mod:`kernelsight.stores.sqlite.views`
what stands before them.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from functools import lru_cache

from kernelsight.events.declare import Column, Kind, StorageType

_TYPES: Mapping[StorageType, str] = {"INTEGER": "INTEGER", "REAL": "REAL", "TEXT": "TEXT", "BOOLEAN": "INTEGER"}
TIMESTAMP_INDEX = ("timestamp",)


def quote(name: str) -> str:
    """An identifier as SQL text, whatever it contains."""
    return '"' + name.replace('"', '""') + '"'


def quoted(names: Iterable[str]) -> str:
    """Identifiers, separated by commas."""
    return ", ".join(map(quote, names))


def segment_name(table: str, number: int) -> str:
    """Name of one segment of a table."""
    return f"{table}__{number}"


def column_definition(column: Column) -> str:
    """One column as it stands in ``CREATE TABLE`` and ``ALTER TABLE ... ADD COLUMN``."""
    return f"{quote(column.name)} {_TYPES[column.type]}" + (" NOT NULL" if column.required else "")


def create_segment(kind: Kind, number: int) -> str:
    """``CREATE TABLE`` of a segment: ``id``, then the columns of the struct."""
    columns = ",\n    ".join(("id INTEGER PRIMARY KEY", *map(column_definition, kind.columns)))
    return f"CREATE TABLE {quote(segment_name(kind.table, number))} (\n    {columns}\n)"


def index_columns(kind: Kind) -> tuple[tuple[str, ...], ...]:
    """The columns of every index of a sealed segment: the timestamp first, then those declared."""
    return tuple(dict.fromkeys((TIMESTAMP_INDEX, *kind.indexes)))


def index_name(table: str, number: int, columns: Sequence[str]) -> str:
    """Name of an index of a segment."""
    return f"{segment_name(table, number)}_{'_'.join(columns)}"


def create_index(table: str, number: int, columns: Sequence[str]) -> str:
    """``CREATE INDEX`` of a segment; does nothing where it exists."""
    name = quote(index_name(table, number, columns))
    return f"CREATE INDEX IF NOT EXISTS {name} ON {quote(segment_name(table, number))} ({quoted(columns)})"


@lru_cache(maxsize=512)
def insert_rows(segment: str, columns: tuple[str, ...], rows: int, *, with_id: bool) -> str:
    """``INSERT`` of some rows at once: each row's values as parameters, after its id or with its stamp as the id."""
    names = ("id", *columns)
    # A plain `?` is the next parameter: the text stays short, which matters, as it is looked up by its
    # hash for every group of rows.
    others = ",?" * (len(columns) - 1)
    groups = [f"(?,?{others})"] * rows if with_id else [f"(?,?{row * len(columns) + 1}{others})" for row in range(rows)]
    values = ",".join(groups)
    return f"INSERT INTO {quote(segment)} ({quoted(names)}) VALUES {values}"
