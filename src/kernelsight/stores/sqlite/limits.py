"""The limits of a store as its file has them: the table ``limits``."""

from __future__ import annotations

from collections.abc import Mapping

import apsw

from kernelsight.stores.limits import DEFAULTS, EVERY, Limit, Limits

CREATE_LIMITS = """CREATE TABLE limits (
    table_name TEXT NOT NULL,
    name TEXT NOT NULL,
    value INTEGER,
    PRIMARY KEY (table_name, name)
) WITHOUT ROWID"""


def load(connection: apsw.Connection) -> Limits:
    """The limits of a file; those of a file of an older version are none."""
    try:
        rows = connection.execute("SELECT table_name, name, value FROM limits").fetchall()
    except apsw.SQLError:
        rows = []
    return Limits({(str(table), str(name)): value for table, name, value in rows})  # type: ignore[misc] # as it is made


def save(connection: apsw.Connection, changes: Mapping[Limit, int | None]) -> bool:
    """Set limits, within a transaction; what has none of its own gets the default.

    Returns:
        whether the file had no limits before.
    """
    is_first = not connection.execute("SELECT 1 FROM limits LIMIT 1").fetchall()
    connection.executemany(
        "INSERT OR IGNORE INTO limits VALUES (?, ?, ?)", [(EVERY, name, value) for name, value in DEFAULTS.items()]
    )
    connection.executemany(
        "INSERT OR REPLACE INTO limits VALUES (?, ?, ?)",
        [(table, name, value) for (table, name), value in changes.items()],
    )
    return is_first
