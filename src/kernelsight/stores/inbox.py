"""Events from other processes than the writer: files in a folder beside the database, which the writer takes.

A store has one writer. Who else has something to record (the agent: what it did and why) drops it
here, whole and on disk before :func:`drop` returns; the writer stores it within a second, and removes
the file once it is committed. After a crash between the two the file is stored again, so who reads
such records must not mind one that is there twice. A file that cannot be taken is set aside, with the reason
beside it, so that the writer does not meet it again.

The folder belongs to whoever has the folder of the database, and nobody else may write to it. Its files are opened,
moved and removed by its descriptor, never by a path through a link.
"""

from __future__ import annotations

import os
import time
from collections.abc import Iterable, Iterator
from contextlib import contextmanager, suppress
from itertools import count
from pathlib import Path

from kernelsight.errors import StoreError
from kernelsight.events.declare import Event
from kernelsight.events.wire import encode_lines
from kernelsight.stores.database_path import database_path
from kernelsight.trusted_paths import UntrustedPathError, as_owner_of, open_directory, open_file

_SUFFIX = ".ndjson"
_ASIDE = "rejected"
_MODE = 0o700
_NUMBER = count()


class UnfitFileError(ValueError):
    """A file cannot be taken; the message is the reason."""


def inbox(db_path: str | os.PathLike[str]) -> Path:
    """The folder that belongs to a database file.

    Raises:
        StoreError: what is named cannot be a database file.
    """
    path = database_path(db_path)
    return path.with_name(f"{path.name}.inbox")


def drop(db_path: str | os.PathLike[str], events: Iterable[Event]) -> Path:
    """Leave events for the writer; when this returns they survive a crash of the machine.

    Root leaves them as the user whose folder it is, who has to remove them.

    Raises:
        StoreError: the folder cannot be made, trusted or written.
    """
    folder = inbox(db_path)
    name = f"{time.time_ns():020d}-{os.getpid()}-{next(_NUMBER)}{_SUFFIX}"
    new = f"{name}.new"
    try:
        with as_owner_of(folder.parent), _opened(folder, mode=_MODE) as directory:
            fd = open_file(directory, new, folder / new, os.O_WRONLY | os.O_CREAT | os.O_EXCL)
            with os.fdopen(fd, "wb") as file:
                file.write(encode_lines(events))
                file.flush()
                os.fsync(file.fileno())
            os.rename(new, name, src_dir_fd=directory, dst_dir_fd=directory)
            os.fsync(directory)
    except OSError as error:
        raise StoreError(f"{folder}: nothing can be left there for the writer: {error.strerror}") from error
    except UntrustedPathError as error:
        raise StoreError(f"nothing can be left for the writer: {error}") from error
    return folder / name


def waiting(db_path: str | os.PathLike[str]) -> list[Path]:
    """The files that have not been taken yet, the oldest first; none where there is no inbox.

    Raises:
        UntrustedPathError: others may write to the inbox.
    """
    folder = inbox(db_path)
    try:
        with _opened(folder) as directory:
            names = os.listdir(directory)  # noqa: PTH208 - by its descriptor
    except OSError:
        return []
    return [folder / name for name in sorted(names) if name.endswith(_SUFFIX)]


def read(path: Path, largest: int) -> bytes:
    """The bytes of a file of the inbox.

    Args:
        path: the file.
        largest: bytes that are taken at most.

    Raises:
        UnfitFileError: it is no ordinary file of ours, or too large.
        OSError: it is gone, or not for us to read.
    """
    try:
        with _opened(path.parent) as directory:
            fd = open_file(directory, path.name, path, os.O_RDONLY)
    except UntrustedPathError as error:
        raise UnfitFileError(str(error)) from error
    with os.fdopen(fd, "rb") as file:
        size = os.fstat(fd).st_size
        if size > largest:
            raise UnfitFileError(f"{size:,} bytes; at most {largest:,} are taken from one file")
        return file.read(largest)


def remove(path: Path) -> None:
    """Remove a file of the inbox; one that is gone is no failure.

    Raises:
        OSError: it cannot be removed.
        UntrustedPathError: others may write to the inbox.
    """
    with _opened(path.parent) as directory, suppress(FileNotFoundError):
        os.unlink(path.name, dir_fd=directory)


def set_aside(path: Path, reason: str) -> Path:
    """Move a file of the inbox to its folder of rejected files, with the reason beside it.

    Returns:
        where it is now.

    Raises:
        OSError: it cannot be moved.
        UntrustedPathError: others may write to one of the folders.
    """
    folder = path.parent / _ASIDE
    with _opened(path.parent) as directory, _opened(folder, mode=_MODE) as aside:
        os.rename(path.name, path.name, src_dir_fd=directory, dst_dir_fd=aside)
        with suppress(OSError):  # the reason is in the books too; the file must not be met again
            note = f"{path.name}.reason"
            fd = open_file(aside, note, folder / note, os.O_WRONLY | os.O_CREAT | os.O_EXCL)
            with os.fdopen(fd, "w", encoding="utf-8", errors="backslashreplace") as file:
                file.write(f"{reason}\n")
    return folder / path.name


@contextmanager
def _opened(folder: Path, *, mode: int | None = None) -> Iterator[int]:
    directory = open_directory(folder, mode=mode)
    try:
        yield directory
    finally:
        os.close(directory)
