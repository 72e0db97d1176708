"""Limits applied at a person's word: by this process where nobody writes, else by the process that does."""

from __future__ import annotations

import time
from collections.abc import Iterator, Mapping
from contextlib import closing
from pathlib import Path

import apsw

from kernelsight.errors import StoreBusyError, StoreError
from kernelsight.stores.limits import Limit
from kernelsight.stores.sqlite import limits as limit_books
from kernelsight.stores.sqlite.connect import translated
from kernelsight.stores.sqlite.migrations import MIGRATIONS, require_ours
from kernelsight.stores.sqlite.writer import SqliteWriter

_BUSY_MS = 20_000


def apply_limits(path: Path, changes: Mapping[Limit, int | None]) -> Iterator[str]:
    """Set limits and let go of what is beyond them; what is done is said as it is done.

    Raises:
        StoreError: the database does not exist, or cannot be written.
    """
    if not path.is_file():
        raise StoreError(f"{path}: no such database")
    try:
        writer = SqliteWriter(path)
    except StoreBusyError:
        _leave_to_writer(path, changes)
        yield "the daemon that writes to it keeps the limits: it looks every 10 s, and goes on until they are kept"
        return
    with closing(writer):
        writer.set_limits(changes)
        yield from writer.let_go(time.time_ns())


def _leave_to_writer(path: Path, changes: Mapping[Limit, int | None]) -> None:
    with translated(path):
        connection = apsw.Connection(str(path), flags=apsw.SQLITE_OPEN_READWRITE | apsw.SQLITE_OPEN_NOFOLLOW)
        with closing(connection):
            connection.set_busy_timeout(_BUSY_MS)
            require_ours(connection, path, MIGRATIONS)
            with connection:
                limit_books.save(connection, changes)
