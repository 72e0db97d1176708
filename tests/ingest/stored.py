"""Runs the daemon over bytes and reads back what is in the file, by the stock sqlite3 module."""

from __future__ import annotations

import io
import os
import sqlite3
import tempfile
from collections import Counter
from contextlib import closing
from dataclasses import dataclass
from pathlib import Path

from empty_store import empty_store
from kernelsight.events import wire
from kernelsight.ingest import daemon

COUNTS = ("lines", "stored", "rejected", "dropped", "in_memory")


@dataclass(frozen=True)
class Result:
    """What a run left behind."""

    code: int
    log: str
    rows: Counter[tuple]
    """(table, columns that are not NULL) of every row, with the number of equal ones."""
    books: dict[str, dict[str, int]]
    rejected: list[tuple[str, str, str | bytes, int]]
    """(kind, reason, raw, size)"""

    @property
    def total(self) -> dict[str, int]:
        return {name: sum(account[name] for account in self.books.values()) for name in COUNTS}


def ingest(data: bytes, settings: daemon.Settings | None = None) -> Result:
    """Store what these bytes hold."""
    with tempfile.TemporaryDirectory() as folder:
        path, source = Path(folder, "t.db"), Path(folder, "input")
        path.write_bytes(empty_store())
        source.write_bytes(data)
        log = io.StringIO()
        fd = os.open(source, os.O_RDONLY)
        try:
            code = daemon.run(fd, str(path), settings or daemon.Settings(), log)
        finally:
            os.close(fd)
        return read(path, code, log.getvalue())


def read(path: Path, code: int = 0, log: str = "") -> Result:
    """What is in a store."""
    with closing(sqlite3.connect(path)) as connection:
        assert connection.execute("PRAGMA integrity_check").fetchall() == [("ok",)]
        rows: Counter[tuple] = Counter()
        for kind in wire.kinds().values():
            cursor = connection.execute(f"SELECT {', '.join(map(quote, kind.column_names))} FROM {kind.table}")
            for row in cursor:
                present = tuple((n, v) for n, v in zip(kind.column_names, row, strict=True) if v is not None)
                rows[kind.table, present] += 1
        books = {
            kind: dict(zip(COUNTS, counts, strict=True))
            for kind, *counts in connection.execute(f"SELECT kind, {', '.join(COUNTS)} FROM collectors")
        }
        rejected = connection.execute("SELECT kind, reason, raw, size FROM rejected_events ORDER BY id").fetchall()
    return Result(code, log, rows, books, rejected)


def quote(name: str) -> str:
    return f'"{name}"'


def row(table: str, **columns: object) -> tuple:
    """A row as :attr:`Result.rows` has it."""
    order = wire.tables()[table].column_names
    return table, tuple((name, columns[name]) for name in order if columns.get(name) is not None)
