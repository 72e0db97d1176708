"""One writer at a time, by a lock that the kernel releases when its holder ends, however it ends."""

from __future__ import annotations

import fcntl
import os
from pathlib import Path

from kernelsight.errors import StoreBusyError, StoreError
from kernelsight.trusted_paths import UntrustedPathError, open_directory, open_file


def lock_file(database: Path) -> Path:
    """Where the lock of a database is."""
    return database.with_name(f"{database.name}.lock")


def holder_of(database: Path) -> int | None:
    """Pid of the process that has the lock; None where nobody has it, or that is not known.

    Raises:
        StoreError: the lock is there and cannot be read.
    """
    try:
        fd = os.open(lock_file(database), os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC)
    except FileNotFoundError:
        return None
    except OSError as error:
        raise StoreError(f"{lock_file(database)}: cannot be read: {error.strerror}") from error
    try:
        fcntl.flock(fd, fcntl.LOCK_SH | fcntl.LOCK_NB)
    except BlockingIOError:
        text = os.pread(fd, 32, 0).decode(errors="replace").strip()
        return int(text) if text.isdecimal() and text.isascii() and _is_of(text, os.fstat(fd).st_uid) else None
    finally:
        os.close(fd)
    return None


def _is_of(pid: str, uid: int) -> bool:
    """Whether a process is of the user who made the lock: that one may write any pid into it."""
    try:
        return Path(f"/proc/{pid}").stat().st_uid == uid
    except FileNotFoundError:
        return False


class WriterLock:
    """The right to write to a store: ``flock`` on ``<database>.lock``, which has the holder's pid in it.

    Raises:
        StoreBusyError: another process has it; its pid is in the message.
        StoreError: the file cannot be made or written, or others could exchange it or the database.
    """

    def __init__(self, database: Path) -> None:
        self.path = lock_file(database)
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
