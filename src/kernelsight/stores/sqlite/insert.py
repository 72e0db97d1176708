"""Rows into a segment, as fast as SQLite takes them."""

from __future__ import annotations

from collections.abc import Iterable
from itertools import islice

import apsw

from kernelsight.events.declare import INT64_MAX, INT64_MIN, Kind
from kernelsight.stores.base import Row, Value
from kernelsight.stores.sqlite.ddl import insert_rows
from kernelsight.stores.sqlite.place import Placed, place
from kernelsight.stores.sqlite.segments import Segment

ROWS_A_STATEMENT = 16
"""Rows bound at once: 1.25 times the rows/s of one at a time; more gain nothing."""

# What SQLite or the binding raises because of one row's values; anything else is the whole batch's trouble.
ROW_ERRORS = (
    apsw.BindingsError,
    apsw.ConstraintError,
    apsw.MismatchError,
    apsw.TooBigError,
    IndexError,
    OverflowError,
    TypeError,
    UnicodeError,
)


def insert(connection: apsw.Connection, kind: Kind, hot: Segment, rows: list[Row], latest: int) -> Placed:
    """Insert rows, all or (with an error) some of them; the caller has a savepoint.

    Args:
        connection: within a transaction.
        kind: what the rows are.
        hot: the segment that takes them; its books are left to the caller.
        rows: at least one.
        latest: see :func:`kernelsight.stores.sqlite.place.place`.

    Raises:
        ROW_ERRORS: a row cannot be stored.
    """
    if set(map(len, rows)) != {len(kind.columns)}:  # rows bound together would shift each other's values
        raise TypeError(f"a row of {kind.table} has {len(kind.columns)} values")
    placed = place(rows, hot.next_id_floor - 1, latest, may_sort=kind.interval_s is None)
    target = hot.name, kind.column_names
    waiting = iter(placed.rows)
    if groups := len(rows) // ROWS_A_STATEMENT:
        together = (_joined(islice(waiting, ROWS_A_STATEMENT)) for _ in range(groups))
        connection.executemany(insert_rows(*target, ROWS_A_STATEMENT, with_id=placed.with_id), together)
    connection.executemany(insert_rows(*target, 1, with_id=placed.with_id), waiting)
    return placed


def _joined(rows: Iterable[Row]) -> list[Value]:
    """The values of rows, one row after the other; in half the time of itertools.chain."""
    values: list[Value] = []
    for row in rows:
        values += row
    return values


def reason_of(kind: Kind, row: Row, error: Exception) -> str:
    """Why a row was refused, with the column that is to blame where one is."""
    for name, value in zip(kind.column_names, row, strict=False):
        if name == "timestamp" and not isinstance(value, int):
            return f"timestamp is {value!r}, not nanoseconds since the epoch"
        if isinstance(value, int) and not INT64_MIN <= value <= INT64_MAX:
            return f"{name}: {value} does not fit into 64 bits"
        if isinstance(value, str) and not value.isascii() and _has_no_encoding(value):
            return f"{name}: text with lone surrogates"
    return f"{type(error).__name__}: {error}"


def _has_no_encoding(text: str) -> bool:
    return any("\ud800" <= character <= "\udfff" for character in text)
