"""Events from other processes than the writer: files in a folder beside the database, which the writer takes.

A store of files has one writer. Whoever else has something to record (the agent: what it did and why) leaves it here.
It is whole and on disk before :meth:`Inbox.leave` returns. The writer stores it within a second, and removes the file
once it is committed. After a crash between the two the file is stored again, so readers of such records must accept
one that is there twice. A file that cannot be taken is set aside, with the reason beside it, so that the writer does
not meet it again.

The folder belongs to the owner of the database's folder, and nobody else may write to it. Its files are opened,
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
from kernelsight.trusted_paths import UntrustedPathError, as_owner_of, open_directory, open_file

_SUFFIX = ".ndjson"
_ASIDE = "rejected"
_MODE = 0o700
_NUMBER = count()


class UnfitFileError(ValueError):
    """A file cannot be taken; the message is the reason."""


class Inbox:
    """The inbox of one store.

    Args:
        folder: where it is or will be.
    """

    def __init__(self, folder: Path) -> None:
        self.folder = folder

    def leave(self, events: Iterable[Event]) -> Path:
        """Leave events for the writer; when this returns they survive a crash of the machine.

        Root leaves them as the user whose folder it is, who has to remove them.

        Returns:
            the file.

        Raises:
            StoreError: the folder cannot be made, trusted or written.
        """
        name = f"{time.time_ns():020d}-{os.getpid()}-{next(_NUMBER)}{_SUFFIX}"
        new = f"{name}.new"
        try:
            with as_owner_of(self.folder.parent), _opened(self.folder, mode=_MODE) as directory:
                fd = open_file(directory, new, self.folder / new, os.O_WRONLY | os.O_CREAT | os.O_EXCL)
                with os.fdopen(fd, "wb") as file:
                    file.write(encode_lines(events))
                    file.flush()
                    os.fsync(file.fileno())
                os.rename(new, name, src_dir_fd=directory, dst_dir_fd=directory)
                os.fsync(directory)
        except OSError as error:
            raise StoreError(f"{self.folder}: no file can be left there for the writer: {error.strerror}") from error
        except UntrustedPathError as error:
            raise StoreError(f"no file can be left for the writer: {error}") from error
        return self.folder / name

    def waiting(self) -> list[Path]:
        """The files that have not been taken yet, the oldest first; none where there is no folder.

        Raises:
            UntrustedPathError: others may write to it.
        """
        try:
            with _opened(self.folder) as directory:
                names = os.listdir(directory)  # noqa: PTH208 - by its descriptor
        except OSError:
            return []
        return [self.folder / name for name in sorted(names) if name.endswith(_SUFFIX)]

    def read(self, path: Path, largest: int) -> bytes:
        """The bytes of a file.

        Args:
            path: one of :meth:`waiting`.
            largest: bytes that are taken at most.

        Raises:
            UnfitFileError: it is no ordinary file of ours, or too large.
            OSError: it is gone, or not for us to read.
        """
        try:
            with _opened(self.folder) as directory:
                fd = open_file(directory, path.name, path, os.O_RDONLY)
        except UntrustedPathError as error:
            raise UnfitFileError(str(error)) from error
        with os.fdopen(fd, "rb") as file:
            size = os.fstat(fd).st_size
            if size > largest:
                raise UnfitFileError(f"{size:,} bytes; at most {largest:,} are taken from one file")
            return file.read(largest)

    def remove(self, path: Path) -> None:
        """Remove a file; one that is gone is no failure.

        Raises:
            OSError: it cannot be removed.
            UntrustedPathError: others may write to the inbox.
        """
        with _opened(self.folder) as directory, suppress(FileNotFoundError):
            os.unlink(path.name, dir_fd=directory)

    def set_aside(self, path: Path, reason: str) -> Path:
        """Move a file to the folder of rejected files, with the reason beside it.

        Returns:
            where it is now.

        Raises:
            OSError: it cannot be moved.
            UntrustedPathError: others may write to one of the folders.
        """
        rejected = self.folder / _ASIDE
        with _opened(self.folder) as directory, _opened(rejected, mode=_MODE) as aside:
            os.rename(path.name, path.name, src_dir_fd=directory, dst_dir_fd=aside)
            with suppress(OSError):  # the reason is in the books too; the file must not be met again
                note = f"{path.name}.reason"
                fd = open_file(aside, note, rejected / note, os.O_WRONLY | os.O_CREAT | os.O_EXCL)
                with os.fdopen(fd, "w", encoding="utf-8", errors="backslashreplace") as file:
                    file.write(f"{reason}\n")
        return rejected / path.name


@contextmanager
def _opened(folder: Path, *, mode: int | None = None) -> Iterator[int]:
    directory = open_directory(folder, mode=mode)
    try:
        yield directory
    finally:
        os.close(directory)
