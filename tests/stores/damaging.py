"""Damage to real database files, for tests: pages of one table or index are found and overwritten."""

from __future__ import annotations

import sqlite3
from contextlib import closing
from pathlib import Path

PAGE = 8192


def pages_of(path: Path, name: str) -> list[int]:
    """The pages of a table or an index, its root first (sqlite.org/dbstat.html)."""
    with closing(sqlite3.connect(path)) as connection:
        return [
            page for (page,) in connection.execute("SELECT pageno FROM dbstat WHERE name = ? ORDER BY path", (name,))
        ]


def overwrite(path: Path, page: int, content: bytes = b"\xa5" * PAGE) -> None:
    """Put other bytes into one page; pages count from 1."""
    with path.open("r+b") as file:
        file.seek((page - 1) * PAGE)
        file.write(content)


def damage(path: Path, name: str, *, leaf: int | None = None) -> None:
    """Overwrite the root of a table or index, or another of its pages; nobody may have the file open."""
    overwrite(path, pages_of(path, name)[0 if leaf is None else leaf])
