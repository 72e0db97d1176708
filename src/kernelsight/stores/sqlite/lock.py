"""One writer at a time, by a lock that the kernel releases when its holder ends, however it ends."""

from __future__ import annotations

import fcntl
import os
from pathlib import Path

from kernelsight.errors import StoreBusyError, StoreError
from kernelsight.trusted_paths import UntrustedPathError, open_directory, open_file


class WriterLock:
    """The right to write to a store: ``flock`` on ``<database>.lock``, which has the holder's pid in it.

    Raises:
        StoreBusyError: another process has it; its pid is in the message.
        StoreError: the file cannot be made or written, or others could exchange it or the database.
    """

    def __init__(self, database: Path) -> None:
        self.path = database.with_name(f"{database.name}.lock")
        try:
            directory = open_directory(database.parent)
            try:
                self._fd = open_file(directory, self.path.name, self.path, os.O_RDWR | os.O_CREAT)
            finally:
                os.close(directory)
        except OSError as error:
            raise StoreError(f"{self.path}: cannot be made: {error.strerror}; write where this user may") from error
        except UntrustedPathError as error:
            raise StoreError(str(error)) from error
        try:
            fcntl.flock(self._fd, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            holder = os.pread(self._fd, 32, 0).decode(errors="replace").strip() or "unknown"
            os.close(self._fd)
            self._fd = -1
            raise StoreBusyError(
                f"{database}: process {holder} is writing to it; stop it, or use another file"
            ) from None
        try:
            os.ftruncate(self._fd, 0)
            os.pwrite(self._fd, f"{os.getpid()}\n".encode(), 0)
        except OSError as error:
            self.release()
            raise StoreError(f"{self.path}: cannot be written: {error.strerror}") from error

    def is_gone(self) -> bool:
        """Whether the path does not name the locked file any more, so that somebody else could lock another."""
        try:
            named = self.path.stat()
        except OSError:
            return True
        held = os.fstat(self._fd)
        return (named.st_dev, named.st_ino) != (held.st_dev, held.st_ino)

    def release(self) -> None:
        """Give it up; calling it again does nothing. The file stays: removing it would race with the next holder."""
        if self._fd >= 0:
            os.close(self._fd)
            self._fd = -1
