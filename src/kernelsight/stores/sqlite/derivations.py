"""How far what is derived from events has come: one text for each name."""

from __future__ import annotations

from typing import cast

import apsw

CREATE_DERIVATIONS = "CREATE TABLE derivations (name TEXT PRIMARY KEY, progress TEXT NOT NULL) WITHOUT ROWID"


def progress(connection: apsw.Connection, name: str) -> str | None:
    """The text kept under a name."""
    row = connection.execute("SELECT progress FROM derivations WHERE name = ?", (name,)).fetchone()
    return None if row is None else cast("str", row[0])


def keep(connection: apsw.Connection, name: str, text: str) -> None:
    """Keep a text under a name."""
    connection.execute("INSERT OR REPLACE INTO derivations (name, progress) VALUES (?, ?)", (name, text))
