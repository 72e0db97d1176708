"""A backup of a database and its twins while it is written: a folder with both and a manifest with checksums.

The database is copied through SQLite's online backup API from one read transaction, so that it is the state of one
moment however much is written meanwhile (without the transaction each commit would start the copy anew); the
write-ahead log grows by what is written until the copy is done. Twins are files that never change: they become hard
links where the backup is on the same file system, copies elsewhere, and those that an earlier run left are kept. The
manifest comes last, atomically: a backup without one, or whose manifest names other files, is not finished.
"""

from __future__ import annotations

import hashlib
import os
import re
import shutil
import time
from collections.abc import Generator, Iterator
from contextlib import closing, suppress
from dataclasses import dataclass
from pathlib import Path

import apsw
import msgspec

from kernelsight.errors import StoreError
from kernelsight.stores.backup import BackedUp, Progress
from kernelsight.stores.sqlite.connect import connect_reader, integer, translated
from kernelsight.stores.sqlite.migrations import MIGRATIONS, require_ours
from kernelsight.stores.sqlite.twins.books import TwinFile, load_files
from kernelsight.stores.sqlite.twins.folder import folder_of, sync_directory
from kernelsight.trusted_paths import UntrustedPathError, as_user, open_directory, reader_of

MANIFEST = "manifest.json"
_STEP_PAGES = 1_000
_READ_BYTES = 1 << 20
_READING = os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC
"""No link, and no pipe that nobody writes to, in a folder that is another user's."""
_ATTEMPTS = 5
"""A twin may go while it is to be copied; then the backup begins from a newer state, with the copies that it has."""
_TABLE = re.compile(r"[a-z][a-z0-9_]{0,99}", re.ASCII)
_FILE = re.compile(r"[\w-]{1,150}(\.[\w-]{1,20}){0,2}", re.ASCII)
_DATABASE = re.compile(r"\d{1,20}\.db", re.ASCII)
_OWN = re.compile(r"manifest\.json|\.manifest\.json\.new|twins|\d{1,20}\.db|\.\d{1,20}\.db\.part(-journal)?", re.ASCII)
"""What a backup lays in its folder. Other databases are not its own: it removes what earlier backups left."""


class BackupFile(msgspec.Struct, frozen=True):
    """A file of a backup."""

    path: str
    """From the folder of the backup."""
    bytes: int
    sha256: str


class Manifest(msgspec.Struct, frozen=True):
    """What belongs to a backup."""

    taken_ns: int
    layout_version: int
    rows: int
    database: BackupFile
    twins: list[BackupFile]
    format: int = 1


class _GoneError(Exception):
    """A twin was removed before it could be copied."""


@dataclass(slots=True)
class _Taken:
    """What was copied so far."""

    new_bytes: int = 0


def back_up(path: Path, folder: Path) -> Generator[Progress, None, BackedUp]:
    """Make a backup, or bring one up to date; a run that was ended is gone on with.

    Raises:
        StoreError: the database cannot be read, or the backup not written.
    """
    try:
        folder.mkdir(mode=0o700, parents=True, exist_ok=True)
        os.close(open_directory(folder))
    except OSError as error:
        raise StoreError(f"{folder}: cannot be made: {error.strerror}") from error
    except UntrustedPathError as error:
        raise StoreError(str(error)) from error
    if _is_foreign(folder):
        raise StoreError(f"{folder}: holds something else than a backup; name an empty or a new folder")
    taken = _Taken()
    for attempt in range(_ATTEMPTS):
        try:
            return (yield from _attempt(path, folder, taken))
        except _GoneError as error:
            if attempt == _ATTEMPTS - 1:
                raise StoreError(f"{path}: {error} again and again while it was backed up; try again later") from error
        except OSError as error:
            raise StoreError(
                f"{folder}: cannot be written: {error.strerror or error}; make room or name another place, then run it"
                " again: what is there already is kept"
            ) from error
    raise AssertionError


def _is_foreign(folder: Path) -> bool:
    """Whether there are files that no backup has."""
    return any(not _OWN.fullmatch(entry.name) for entry in folder.iterdir())


def _attempt(path: Path, folder: Path, taken: _Taken) -> Generator[Progress, None, BackedUp]:
    with closing(connect_reader(path)) as source:
        with as_user(*reader_of(path)), translated(path):  # SQLite makes files beside the database
            version = require_ours(source, path, MIGRATIONS)
            source.execute("BEGIN")
            rows = integer(source, "SELECT coalesce(sum(rows), 0) FROM segments") or 0
            archived = integer(
                source,
                "SELECT coalesce(sum(t.rows), 0) FROM twins AS t LEFT JOIN segments AS s USING (table_name, number)"
                " WHERE s.number IS NULL",
            )
            files = [file for file in load_files(source).values() if file.retired_ns is None]
        taken_ns = time.time_ns()
        twins = yield from _copy_twins(path, folder, files, taken)
        database = yield from _copy_database(path, folder, source, taken_ns, taken)
    yield Progress("checking the copy", 0, 1)
    _require_whole(folder / database.path)
    manifest = Manifest(taken_ns, version, rows + (archived or 0), database, twins)
    replace_file(folder / MANIFEST, msgspec.json.format(msgspec.json.encode(manifest)))
    _remove_others(folder, manifest)
    size = database.bytes + sum(twin.bytes for twin in twins)
    return BackedUp(str(folder), taken_ns, manifest.rows, size, taken.new_bytes)


def _copy_twins(
    path: Path, folder: Path, files: list[TwinFile], taken: _Taken
) -> Generator[Progress, None, list[BackupFile]]:
    total, done = sum(file.bytes for file in files), 0
    copies = []
    for file in files:
        yield Progress("copying columns", done, total)
        place = Path("twins", file.table_name, file.file)
        target = folder / place
        if not (target.exists() and target.stat().st_size == file.bytes and sha256_of(target) == file.sha256):
            target.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
            try:
                _link_or_copy(folder_of(path) / file.table_name / file.file, target)
            except FileNotFoundError:
                raise _GoneError(f"{file.file} of {file.table_name} was removed") from None
            if sha256_of(target) != file.sha256:
                target.unlink()
                raise StoreError(
                    f"{folder_of(path) / file.table_name / file.file}: is damaged; `kernelsight repair` makes it anew"
                )
            taken.new_bytes += file.bytes
        copies.append(BackupFile(str(place), file.bytes, file.sha256))
        done += file.bytes
    yield Progress("copying columns", total, total)
    for directory in {(folder / copy.path).parent for copy in copies}:
        sync_directory(directory)
    return copies


def _link_or_copy(source: Path, target: Path) -> None:
    """A hard link where that can be, else a copy that is durable; under a name of its own until it is whole."""
    draft = target.with_name(f".{target.name}.part")
    draft.unlink(missing_ok=True)
    try:
        os.link(source, draft, follow_symlinks=False)
    except FileNotFoundError:
        raise
    except OSError:  # another file system, or links to others' files are protected
        copy_durably(source, draft)
    draft.rename(target)


def copy_durably(source: Path, target: Path) -> None:
    """Copy a file; its bytes are on the disk when this returns."""
    fd = os.open(source, _READING)
    with os.fdopen(fd, "rb") as given, target.open("xb") as made:
        os.fchmod(made.fileno(), 0o600)
        shutil.copyfileobj(given, made, _READ_BYTES)
        made.flush()
        os.fsync(made.fileno())


def _copy_database(
    path: Path, folder: Path, source: apsw.Connection, taken_ns: int, taken: _Taken
) -> Generator[Progress, None, BackupFile]:
    name = f"{taken_ns}.db"
    draft = folder / f".{name}.part"
    for left in folder.glob(".*.db.part*"):
        left.unlink()
    os.close(os.open(draft, os.O_CREAT | os.O_EXCL | os.O_WRONLY | os.O_CLOEXEC, 0o600))
    with translated(draft), closing(apsw.Connection(str(draft))) as copy:
        copy.execute("PRAGMA journal_mode = OFF; PRAGMA synchronous = OFF").fetchall()
        with copy.backup("main", source, "main") as backup:
            while not backup.done:
                with translated(path, source):
                    backup.step(_STEP_PAGES)
                yield Progress("copying rows", backup.page_count - backup.remaining, backup.page_count)
    _sync(draft)
    size = draft.stat().st_size
    taken.new_bytes += size
    draft.rename(folder / name)
    sync_directory(folder)
    return BackupFile(name, size, sha256_of(folder / name))


def _require_whole(database: Path) -> None:
    with translated(database), closing(apsw.Connection(f"file:{database}?immutable=1", READ_ALONE)) as connection:
        said = connection.execute("PRAGMA integrity_check").fetchall()
    if said != [("ok",)]:
        raise StoreError(
            f"{database}: the database is damaged ({said[0][0]}), and so is this copy; run `kernelsight repair` first"
        )


READ_ALONE = apsw.SQLITE_OPEN_READONLY | apsw.SQLITE_OPEN_URI


def _remove_others(folder: Path, manifest: Manifest) -> None:
    """Remove what earlier backups into this folder left."""
    mine = {manifest.database.path, MANIFEST, *(twin.path for twin in manifest.twins)}
    for entry in [*folder.glob("*.db"), *folder.glob("twins/*/*")]:
        if str(entry.relative_to(folder)) not in mine:
            entry.unlink()


def sha256_of(path: Path) -> str:
    """Checksum of a file, which may be no link."""
    fd = os.open(path, _READING)
    with os.fdopen(fd, "rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def replace_file(path: Path, content: bytes) -> None:
    """Put a file in the place of another, whole and durable."""
    draft = path.with_name(f".{path.name}.new")
    draft.unlink(missing_ok=True)
    with draft.open("xb") as file:
        os.fchmod(file.fileno(), 0o600)
        file.write(content)
        file.flush()
        os.fsync(file.fileno())
    draft.rename(path)
    sync_directory(path.parent)


def _sync(path: Path) -> None:
    fd = os.open(path, os.O_RDONLY | os.O_CLOEXEC)
    try:
        os.fsync(fd)
    finally:
        os.close(fd)


def load_manifest(folder: Path) -> Manifest:
    """The manifest of a finished backup.

    Raises:
        StoreError: there is none, it is of a newer version, or it names files that no backup has.
    """
    path = folder / MANIFEST
    try:
        fd = os.open(path, os.O_RDONLY | os.O_NOFOLLOW | os.O_CLOEXEC)
        with os.fdopen(fd, "rb") as file:
            manifest = msgspec.json.decode(file.read(), type=Manifest)
    except FileNotFoundError:
        raise StoreError(f"{folder}: is no finished backup: it has no {MANIFEST}") from None
    except (OSError, msgspec.MsgspecError) as error:
        raise StoreError(f"{path}: cannot be read: {error}") from error
    if manifest.format != 1:
        raise StoreError(f"{path}: a newer version made this backup; update KernelSight")
    if not all(_is_of_a_backup(file) for file in _files(manifest)):
        raise StoreError(f"{path}: names files that no backup has")
    return manifest


def _files(manifest: Manifest) -> Iterator[BackupFile]:
    yield manifest.database
    yield from manifest.twins


def _is_of_a_backup(file: BackupFile) -> bool:
    parts = file.path.split("/")
    if len(parts) == 3:
        return parts[0] == "twins" and bool(_TABLE.fullmatch(parts[1]) and _FILE.fullmatch(parts[2]))
    return bool(_DATABASE.fullmatch(file.path))


def copy_checked(source: Path, file: BackupFile, target: Path) -> None:
    """Copy a file of a backup to its place, if it is what the manifest says.

    Raises:
        StoreError: it is not.
        OSError: it cannot be read or written.
    """
    with suppress(FileNotFoundError):
        if target.stat().st_size == file.bytes and sha256_of(target) == file.sha256:
            return
    draft = target.with_name(f".{target.name}.part")
    draft.unlink(missing_ok=True)
    try:
        copy_durably(source / file.path, draft)
    except FileNotFoundError:
        raise StoreError(f"{source / file.path}: is missing from the backup") from None
    if sha256_of(draft) != file.sha256:
        draft.unlink()
        raise StoreError(f"{source / file.path}: is not what was backed up (its checksum differs)")
    draft.rename(target)
