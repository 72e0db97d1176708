"""Connections to a database file, and SQLite's errors in our words."""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import cast
from urllib.parse import quote as url_quote

import apsw

from kernelsight.errors import StoreError
from kernelsight.stores.base import Value

BUSY_TIMEOUT_MS = 5_000
PAGE_BYTES = 8192
CACHE = "cache_size = -64000"


@contextmanager
def translated(path: Path) -> Iterator[None]:
    """Raise what SQLite raises as a StoreError that names the file."""
    try:
        yield
    except apsw.NotADBError as error:
        raise StoreError(f"{path}: is not an SQLite database") from error
    except apsw.BusyError as error:
        raise StoreError(f"{path}: another program holds it locked; end its transaction") from error
    except (apsw.CantOpenError, apsw.ReadOnlyError, apsw.PermissionsError) as error:
        raise StoreError(f"{path}: {error}; ask for the right to it, or name another file") from error
    except (apsw.FullError, apsw.IOError) as error:
        raise StoreError(f"{path}: cannot be written or read ({error}); is the disk full?") from error
    except apsw.Error as error:
        raise StoreError(f"{path}: {error}") from error


def integer(connection: apsw.Connection, sql: str, params: tuple[Value, ...] = ()) -> int | None:
    """The one value that a statement gives, where that is an integer or NULL; None too where it gives no row."""
    row = connection.execute(sql, params).fetchone()
    return None if row is None else cast("int | None", row[0])


def connect_writer(path: Path) -> apsw.Connection:
    """Open the file for writing, made where it does not exist: WAL, synchronous=NORMAL, 64 MB cache."""
    with translated(path):
        connection = apsw.Connection(str(path))
        connection.set_busy_timeout(BUSY_TIMEOUT_MS)
        for pragma in (
            f"page_size = {PAGE_BYTES}",  # only a new file takes it
            "journal_mode = WAL",
            "synchronous = NORMAL",
            CACHE,
        ):
            connection.execute(f"PRAGMA {pragma}").fetchall()
        return connection


@contextmanager
def sorting(connection: apsw.Connection) -> Iterator[None]:
    """Settings for building an index: sort in parts of 4 MB, on several cores.

    SQLite sorts as much as fits into the page cache at once, on one core; a smaller cache makes parts
    of it, which its threads sort at the same time, in 0.65 of the time and with less memory.
    """
    threads = min(3, (os.cpu_count() or 1) - 1)
    for pragma in (f"threads = {threads}", "cache_size = -4000"):
        connection.execute(f"PRAGMA {pragma}").fetchall()
    try:
        yield
    finally:
        connection.execute(f"PRAGMA {CACHE}").fetchall()


def connect_reader(path: Path) -> apsw.Connection:
    """Open the file for reading only.

    Raises:
        StoreError: it does not exist, or is not a database.
    """
    if not path.is_file():
        raise StoreError(f"{path}: no such database; `kernelsight ingest --db-path {path}` makes it")
    with translated(path):
        connection = _open_for_reading(path, "mode=ro")
        try:
            integer(connection, "PRAGMA schema_version")
        except (apsw.ReadOnlyError, apsw.CantOpenError):
            # Nobody writes to it (no WAL), and this user may not make the WAL's index beside it: read the file alone.
            connection.close()
            if path.with_name(f"{path.name}-wal").exists():
                raise
            connection = _open_for_reading(path, "mode=ro&immutable=1")
        return connection


def _open_for_reading(path: Path, options: str) -> apsw.Connection:
    flags = apsw.SQLITE_OPEN_READONLY | apsw.SQLITE_OPEN_URI
    connection = apsw.Connection(f"file:{url_quote(str(path.absolute()))}?{options}", flags=flags)
    connection.set_busy_timeout(BUSY_TIMEOUT_MS)
    connection.execute("PRAGMA query_only = 1").fetchall()
    connection.limit(apsw.SQLITE_LIMIT_ATTACHED, 0)  # a reader of telemetry reads no other file
    return connection
