"""Where twins are: ``<database>.twins/TABLE/FILE.parquet``, whole files only, for those who may read the database.

A file is written under a name that begins with a dot, made durable (fsync), and then given its own name; it counts
once the books of the database name it. Whatever else lies in the folder was left by a process that was killed.
"""

from __future__ import annotations

import fcntl
import hashlib
import os
import stat
import time
from collections.abc import Collection, Iterator
from contextlib import contextmanager, suppress
from io import BufferedRandom, BufferedReader
from pathlib import Path

from kernelsight.errors import StoreBusyError, StoreError
from kernelsight.moments import file_stamp
from kernelsight.stores.sqlite.twins.books import TwinFile
from kernelsight.trusted_paths import UntrustedPathError, open_directory, open_file

_IDENTITY = "of"
_LOCK = "lock"
_BESIDE = {_IDENTITY, _LOCK}
_READING = os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC


def folder_of(database: Path) -> Path:
    """The folder of a database's twins."""
    return database.with_name(f"{database.name}.twins")


def identity_in(folder: Path) -> str | None:
    """Of which database the twins in a folder are; None where that is not said."""
    try:
        fd = os.open(folder / _IDENTITY, _READING)
        with os.fdopen(fd, "rb") as file:
            return file.read(100).decode(errors="replace")
    except OSError:
        return None


def is_whole(database: Path, file: TwinFile) -> bool:
    """Whether a file is there with the bytes that it was made with; it reads all of them."""
    try:
        fd = os.open(folder_of(database) / file.table_name / file.file, _READING)
        with os.fdopen(fd, "rb") as content:
            return checksum(content) == file.sha256
    except OSError:
        return False


class TwinFolder:
    """The folder of one database while one process changes what is in it.

    Raises:
        StoreError: it cannot be made or used.
    """

    def __init__(self, database: Path, identity: str) -> None:
        self.path = folder_of(database)
        mode = stat.S_IMODE(database.stat().st_mode)
        self._file_mode = mode & 0o666
        self._folder_mode = self._file_mode | (self._file_mode & 0o444) >> 2
        self._group = database.stat().st_gid
        self._identity = identity

    @contextmanager
    def held(self) -> Iterator[None]:
        """Keep out other processes that make twins of the same database.

        Raises:
            StoreBusyError: one is at work.
        """
        try:
            self._make(self.path)
            self._set_others_aside()
            lock = self._open(self.path, _LOCK, os.O_RDWR | os.O_CREAT)
        except (OSError, UntrustedPathError) as error:
            raise StoreError(f"{self.path}: cannot be used: {error}") from error
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
            yield
        except BlockingIOError as error:
            raise StoreBusyError(f"{self.path}: another process makes twins") from error
        finally:
            os.close(lock)

    def _make(self, path: Path) -> None:
        os.close(open_directory(path, mode=self._folder_mode))
        if stat.S_IMODE(path.stat().st_mode) != self._folder_mode:
            path.chmod(self._folder_mode)
        self._share(path)

    def _share(self, path: Path) -> None:
        if path.stat().st_gid != self._group:
            with suppress(PermissionError):
                os.chown(path, -1, self._group)

    def _open(self, folder: Path, name: str, flags: int) -> int:
        directory = open_directory(folder)
        try:
            return open_file(directory, name, folder / name, flags)
        finally:
            os.close(directory)

    def _set_others_aside(self) -> None:
        """A database that was at this path before has left its twins: they are kept under another name."""
        mark = self.path / _IDENTITY
        with suppress(FileNotFoundError):
            if mark.read_text(encoding="utf-8") == self._identity:
                return
            self.path.rename(self.path.with_name(f"{self.path.name}.before-{file_stamp(time.time_ns())}"))
            self._make(self.path)
        with self.new_file(self.path, _IDENTITY) as file:
            file.write(self._identity.encode())

    def table(self, table: str) -> Path:
        """The folder of one table's twins, made where there is none."""
        folder = self.path / table
        self._make(folder)
        return folder

    @contextmanager
    def new_file(self, folder: Path, name: str) -> Iterator[BufferedRandom]:
        """Write a file that is there whole, and durable, once this is left; or not at all."""
        draft = f".{name}.new"
        with suppress(FileNotFoundError):
            (folder / draft).unlink()
        fd = self._open(folder, draft, os.O_RDWR | os.O_CREAT | os.O_EXCL)
        try:
            with os.fdopen(fd, "w+b") as file:
                os.fchmod(fd, self._file_mode)
                self._share(folder / draft)
                yield file
                file.flush()
                os.fsync(fd)
            (folder / draft).rename(folder / name)
        except BaseException:
            with suppress(FileNotFoundError):
                (folder / draft).unlink()
            raise
        sync_directory(folder)

    def sweep(self, known: Collection[tuple[str, str]]) -> list[str]:
        """Remove what the books do not name: a killed process has left it. To be called while :meth:`held`.

        Args:
            known: the files in the books, by table and name.

        Returns:
            what was removed.
        """
        gone = []
        for path in [*self.path.glob("*/*"), *self.path.glob(".*.new")]:
            if (path.parent.name, path.name) not in known and path.parent.name not in _BESIDE:
                path.unlink()
                gone.append(str(path))
        return gone

    def has(self, file: TwinFile) -> bool:
        """Whether a file is there with the bytes that it had."""
        with suppress(FileNotFoundError):
            return (self.path / file.table_name / file.file).lstat().st_size == file.bytes
        return False

    def remove(self, table: str, file: str) -> None:
        """Remove a file; one that is gone already is as good."""
        with suppress(FileNotFoundError):
            (self.path / table / file).unlink()


def sync_directory(folder: Path) -> None:
    """Make the names in a directory durable."""
    fd = os.open(folder, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        os.fsync(fd)
    finally:
        os.close(fd)


def checksum(file: BufferedRandom | BufferedReader) -> str:
    """SHA-256 of a whole file."""
    file.seek(0)
    return hashlib.file_digest(file, "sha256").hexdigest()
