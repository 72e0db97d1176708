"""Connections to a database file, and SQLite's errors in our words."""

from __future__ import annotations

import grp
import os
import stat
import threading
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import cast
from urllib.parse import quote as url_quote

import apsw

from kernelsight.errors import StoreError
from kernelsight.stores.base import Value
from kernelsight.stores.sqlite.unusable import why_unusable
from kernelsight.time_limit import current_work
from kernelsight.trusted_paths import UntrustedPathError, as_user, open_directory, open_file, reader_of, require_ours

GROUP = "kernelsight"
"""Its members may read a database, where the machine has such a group."""
BUSY_TIMEOUT_MS = 5_000
PAGE_BYTES = 8192
_STEPS_BETWEEN_LOOKS = 20_000
"""Of SQLite's machine, between two looks at the clock: less than a millisecond."""
_SIDE_FILES = ("-wal", "-shm", "-journal")
_OTHERS_ADD = stat.S_IWGRP | stat.S_IWOTH
CACHE = "cache_size = -64000"
_CONFIGURING = threading.Lock()
_CONFIGURED: list[bool] = []


@contextmanager
def translated(path: Path, connection: apsw.Connection | None = None) -> Iterator[None]:
    """Raise what SQLite raises as a StoreError that names the file.

    Args:
        path: the file.
        connection: the one that is used, to tell the system call's error.

    Raises:
        StoreError: what SQLite raised, in our words.
        OverTimeError: the time for the work of this thread is over.
    """
    work = current_work()
    if work is not None:
        work.require_time()
    try:
        yield
    except apsw.InterruptError as error:
        if work is None:
            raise StoreError(f"{path}: reading was interrupted") from error
        raise work.error() from error
    except UnicodeDecodeError as error:
        raise StoreError(f"{path}: a text is not UTF-8 ({error}); read it as bytes: CAST(... AS BLOB)") from error
    except apsw.CorruptError as error:
        raise StoreError(
            f"{path}: is damaged ({error}); end the daemon and run `kernelsight repair --db-path {path}`"
        ) from error
    except apsw.NotADBError as error:
        raise StoreError(f"{path}: is not an SQLite database") from error
    except apsw.BusyError as error:
        raise StoreError(f"{path}: another program has locked it; end that program's transaction") from error
    except (apsw.CantOpenError, apsw.ReadOnlyError, apsw.PermissionsError, apsw.FullError, apsw.IOError) as error:
        raise StoreError(
            f"{path}: {why_unusable(path, error, connection.system_errno if connection else 0)}"
        ) from error
    except apsw.Error as error:
        raise StoreError(f"{path}: {error}") from error


def integer(connection: apsw.Connection, sql: str, params: tuple[Value, ...] = ()) -> int | None:
    """The one value that a statement gives, where that is an integer or NULL; None too where it gives no row."""
    row = connection.execute(sql, params).fetchone()
    return None if row is None else cast("int | None", row[0])


def make_file(path: Path, mode: int | None = None) -> None:
    """Make an empty database file, where there is none, for its owner alone; nobody else can have laid one.

    A database has command lines and addresses of all users' processes. Where there is a group `kernelsight`, and
    this user may give it the file, its members may read it.

    Args:
        path: the file; its directory is trusted.
        mode: permissions to make it with instead.

    Raises:
        StoreError: the file that is there is a link or may be written by others, or none can be made.
    """
    try:
        directory = open_directory(path.parent)
        try:
            _make_in(directory, path, mode)
        finally:
            os.close(directory)
        settle_side_files(path)
    except UntrustedPathError as error:
        raise StoreError(str(error)) from error
    except OSError as error:
        raise StoreError(f"{path}: cannot be created: {error.strerror}; get the permission") from error


def _make_in(directory: int, path: Path, mode: int | None) -> None:
    try:
        fd = open_file(directory, path.name, path, os.O_RDWR | os.O_CREAT | os.O_EXCL)
    except FileExistsError:
        # Only looked at: closing a descriptor of it would release the locks that SQLite has on it in this process.
        require_ours(os.stat(path.name, dir_fd=directory, follow_symlinks=False), path)
        return
    try:
        _share(fd, mode)
    finally:
        os.close(fd)


def _share(fd: int, mode: int | None) -> None:
    """Set the permissions of a new file."""
    if mode is None:
        mode = 0o600
        with suppress(KeyError, PermissionError):  # no such group, or this user is not in it
            os.fchown(fd, -1, grp.getgrnam(GROUP).gr_gid)
            mode = 0o640
    os.fchmod(fd, mode)


def settle_side_files(path: Path) -> None:
    """In a directory where others may add files, as /tmp: have the files that SQLite keeps beside a database be ours.

    SQLite takes what it finds under their names for its own; so what is missing is made before others can lay it.

    Raises:
        StoreError: others have laid one.
    """
    with suppress(FileNotFoundError):
        if not path.parent.stat().st_mode & _OTHERS_ADD:
            return
        database = path.lstat()
        directory = os.open(path.parent, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
        try:
            for suffix in _SIDE_FILES:
                _settle(directory, path.with_name(f"{path.name}{suffix}"), database)
        finally:
            os.close(directory)


def _settle(directory: int, file: Path, database: os.stat_result) -> None:
    if os.geteuid() == database.st_uid:
        with suppress(FileExistsError):
            flags = os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW | os.O_CLOEXEC
            fd = os.open(file.name, flags, stat.S_IMODE(database.st_mode), dir_fd=directory)
            os.close(fd)
            return
    # Only looked at: closing a descriptor of it would release the locks that SQLite has on it in this process.
    try:
        status = os.stat(file.name, dir_fd=directory, follow_symlinks=False)
    except FileNotFoundError:
        return
    is_ours = status.st_uid in {0, database.st_uid, os.geteuid()}
    if not is_ours or not stat.S_ISREG(status.st_mode) or status.st_nlink > 1:
        raise StoreError(f"{file}: another user created this file, and SQLite would use it as its own; remove it")


def keep_no_statistics() -> None:
    """Switch off SQLite's statistics of its memory, for which every allocation takes a lock; nothing here reads them.

    Opening a store parses the triggers of all tables, in tens of thousands of pieces of memory: it takes less time so.
    SQLite takes this setting only while it is idle, so where a connection is open already, all stays as it is.
    """
    with _CONFIGURING:
        if not _CONFIGURED and not apsw.connections():
            apsw.shutdown()
            apsw.config(apsw.SQLITE_CONFIG_MEMSTATUS, False)
            apsw.initialize()
            _CONFIGURED.append(True)


def connect_writer(path: Path) -> apsw.Connection:
    """Open the file for writing: WAL, synchronous=NORMAL, 64 MB cache."""
    keep_no_statistics()
    with translated(path):
        connection = apsw.Connection(str(path), flags=apsw.SQLITE_OPEN_READWRITE | apsw.SQLITE_OPEN_NOFOLLOW)
        connection.set_busy_timeout(BUSY_TIMEOUT_MS)
        for pragma in (
            f"page_size = {PAGE_BYTES}",  # only a new file takes it, and the next
            "auto_vacuum = INCREMENTAL",
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


def reading_user(path: Path) -> tuple[int, int]:
    """User and group as whom root reads a database, for :func:`kernelsight.trusted_paths.as_user`.

    Raises:
        StoreError: others may exchange the file.
    """
    try:
        return reader_of(path)
    except FileNotFoundError:
        raise StoreError(_missing(path)) from None
    except OSError as error:
        raise StoreError(f"{path}: {error.strerror}; get the permission, or name another file") from error
    except UntrustedPathError as error:
        raise StoreError(str(error)) from error


def connect_reader(path: Path, user: tuple[int, int] | None = None) -> apsw.Connection:
    """Open the file for reading only; root opens it as its owner.

    Args:
        path: the file.
        user: as whom root reads it, where that was found out just now; else :func:`reading_user` is asked.

    Raises:
        StoreError: it does not exist, is not a database, or others may exchange it.
    """
    user = user or reading_user(path)
    keep_no_statistics()
    if not path.is_file():
        raise StoreError(_missing(path))
    with as_user(*user), translated(path):
        settle_side_files(path)
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


_LONGEST_VALUE = 64 << 20
"""Bytes of a value or a row: far more than is stored, and no gigabyte that a statement makes of nothing."""


def _missing(path: Path) -> str:
    return f"{path}: no such database; `kernelsight ingest --db-path {path}` makes it"


def _open_for_reading(path: Path, options: str) -> apsw.Connection:
    flags = apsw.SQLITE_OPEN_READONLY | apsw.SQLITE_OPEN_URI
    connection = apsw.Connection(f"file:{url_quote(str(path.absolute()))}?{options}", flags=flags)
    connection.set_busy_timeout(BUSY_TIMEOUT_MS)
    connection.config(apsw.SQLITE_DBCONFIG_TRUSTED_SCHEMA, 0)  # somebody else may have written its views
    connection.config(apsw.SQLITE_DBCONFIG_DEFENSIVE, 1)
    connection.execute("PRAGMA query_only = 1").fetchall()
    connection.limit(apsw.SQLITE_LIMIT_ATTACHED, 0)  # a reader of telemetry reads no other file
    connection.limit(apsw.SQLITE_LIMIT_LENGTH, _LONGEST_VALUE)
    if current_work() is not None:
        # Of each statement: a server keeps the connection for the next answer.
        connection.set_progress_handler(_is_over, _STEPS_BETWEEN_LOOKS)
    return connection


def _is_over() -> bool:
    work = current_work()
    return work is not None and work.is_over
