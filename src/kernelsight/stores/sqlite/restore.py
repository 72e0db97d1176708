"""Brings a backup back to where there is no database: everything is checked before it gets its name."""

from __future__ import annotations

import os
from collections.abc import Generator
from contextlib import closing, suppress
from pathlib import Path

import apsw

from kernelsight.errors import StoreError
from kernelsight.moments import file_stamp
from kernelsight.stores.backup import BackedUp, Progress
from kernelsight.stores.sqlite.backup import READ_ALONE, BackupFile, Manifest, copy_checked, load_manifest, replace_file
from kernelsight.stores.sqlite.connect import translated
from kernelsight.stores.sqlite.lock import WriterLock
from kernelsight.stores.sqlite.migrations import MIGRATIONS, require_ours
from kernelsight.stores.sqlite.twins.books import identity_of
from kernelsight.stores.sqlite.twins.folder import folder_of, sync_directory
from kernelsight.trusted_paths import UntrustedPathError, open_directory

_SIDE_FILES = ("-wal", "-shm", "-journal")


def restore(source: Path, path: Path) -> Generator[Progress, None, BackedUp]:
    """Bring a backup back; a run that was ended is gone on with.

    Args:
        source: the folder of the backup.
        path: where the database is to be; nothing may be there.

    Raises:
        StoreBusyError: somebody writes there.
        StoreError: the backup is not whole, or there is a database already, or it cannot be written.
    """
    manifest = load_manifest(source)
    _require_free(path)
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        os.close(open_directory(path.parent))
    except OSError as error:
        raise StoreError(f"{path.parent}: cannot be made: {error.strerror}") from error
    except UntrustedPathError as error:
        raise StoreError(str(error)) from error
    lock = WriterLock(path)
    try:
        _require_free(path)
        yield from _bring_back(source, manifest, path)
    except OSError as error:
        raise StoreError(
            f"{path}: cannot be written: {error.strerror or error}; make room, then run it again: what is there already"
            " is kept"
        ) from error
    finally:
        lock.release()
    size = manifest.database.bytes + sum(twin.bytes for twin in manifest.twins)
    return BackedUp(str(path), manifest.taken_ns, manifest.rows, size, size)


def _require_free(path: Path) -> None:
    for there in (path, *(path.with_name(path.name + suffix) for suffix in _SIDE_FILES)):
        if there.exists() or there.is_symlink():
            raise StoreError(f"{there}: exists; move the database with its -wal and .twins away, or name another path")


def _bring_back(source: Path, manifest: Manifest, path: Path) -> Generator[Progress, None, None]:
    draft = path.with_name(f"{path.name}.restoring")
    columns = path.with_name(f"{path.name}.twins.restoring")
    total, done = sum(twin.bytes for twin in manifest.twins), 0
    for twin in manifest.twins:
        yield Progress("copying columns", done, total)
        _, table, name = twin.path.split("/")
        (columns / table).mkdir(mode=0o700, parents=True, exist_ok=True)
        copy_checked(source, twin, columns / table / name)
        done += twin.bytes
    yield Progress("copying rows", 0, manifest.database.bytes)
    copy_checked(source, manifest.database, draft)
    yield Progress("checking the copy", 0, 1)
    identity = _identity_of_whole(draft, manifest.database)
    if manifest.twins:
        replace_file(columns / "of", identity.encode())
        there = folder_of(path)
        with suppress(FileNotFoundError):
            there.rename(there.with_name(f"{there.name}.before-{file_stamp(manifest.taken_ns)}"))
        columns.rename(there)
    draft.rename(path)
    sync_directory(path.parent)


def _identity_of_whole(database: Path, file: BackupFile) -> str:
    """The identity that ties twins to a database that is whole."""
    with translated(database), closing(apsw.Connection(f"file:{database}?immutable=1", READ_ALONE)) as connection:
        require_ours(connection, database, MIGRATIONS)
        said = connection.execute("PRAGMA integrity_check").fetchall()
        if said != [("ok",)]:
            raise StoreError(f"{file.path} of the backup is damaged ({said[0][0]})")
        return identity_of(connection)
