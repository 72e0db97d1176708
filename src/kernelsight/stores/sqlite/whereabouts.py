"""Where an open database file is now: SQLite writes on into a file that was removed, moved or cut, and says nothing.

Everything is asked by stat(2) of a path. A descriptor of the database is never opened here: closing it would release
the locks that SQLite has on the file in this process (POSIX locks, fcntl(2)).
"""

from __future__ import annotations

import os
import time
from contextlib import suppress
from pathlib import Path

import apsw

from kernelsight.moments import file_stamp
from kernelsight.stores.sqlite.connect import integer

MOVED = "was moved to"
_SIDES = ("-wal", "-shm")

Identity = tuple[int, int]
"""Device and inode."""


def identity(path: Path) -> Identity | None:
    """Which file a path names now; None: none that can be looked at."""
    try:
        status = os.stat(path)  # noqa: PTH116 - called for every query
    except OSError:
        return None
    return status.st_dev, status.st_ino


class Whereabouts:
    """One open database file, as it was when it was opened."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self._file = identity(path)
        self._sides = {suffix: identity(path.with_name(path.name + suffix)) for suffix in _SIDES}
        self._size = self._bytes()

    def _bytes(self) -> int:
        with suppress(OSError):
            return self.path.stat().st_size
        return 0

    def trouble(self, connection: apsw.Connection) -> str | None:
        """What has happened to the file, as the end of a sentence; None: it is where it was, and whole.

        Args:
            connection: one of those that have the file open; outside of a transaction.

        Raises:
            apsw.Error: it cannot be told.
        """
        now = identity(self.path)
        if now is None or now != self._file:
            return self._gone(replaced=now is not None)
        size = self._bytes()
        if size < self._size and self._is_cut(connection, size):
            return f"was cut to {size:,} bytes"
        self._size = size
        return None

    def _gone(self, *, replaced: bool) -> str:
        moved = self._moved_to()
        if moved is not None:
            return f"{MOVED} {moved}"
        return "was removed, and another file put in its place" if replaced else "was removed"

    def _moved_to(self) -> str | None:
        """The path that the file has now, as the kernel tells it of this process's descriptors."""
        for name in os.listdir("/proc/self/fd"):  # noqa: PTH208
            link = f"/proc/self/fd/{name}"
            with suppress(OSError):
                status = os.stat(link)  # noqa: PTH116
                if (status.st_dev, status.st_ino) == self._file and status.st_nlink:
                    return os.readlink(link)  # noqa: PTH115
        return None

    def _is_cut(self, connection: apsw.Connection, size: int) -> bool:
        """A file becomes smaller by VACUUM too, and is whole then."""
        page_bytes = integer(connection, "PRAGMA page_size") or 0
        if not size:
            return True
        if (integer(connection, "PRAGMA page_count") or 0) * page_bytes <= size:
            return False
        # The cache of this connection hides lost pages: ask a connection without a cache.
        fresh = apsw.Connection(str(self.path), flags=apsw.SQLITE_OPEN_READONLY)
        try:
            return fresh.execute("PRAGMA quick_check(1)").fetchall() != [("ok",)]
        except (apsw.CorruptError, apsw.NotADBError):
            return True
        finally:
            fresh.close()

    def is_here(self) -> bool:
        """Whether the path still names the file."""
        return self._file is not None and identity(self.path) == self._file

    def clear(self) -> Path | None:
        """Once no connection of this process is open: leave nothing at the path that a new file would be mixed with.

        Returns:
            where the file is now, if it was still at the path; its log is beside it.

        Raises:
            OSError: it cannot be renamed.
        """
        aside = _free(self.path.with_name(f"{self.path.name}.damaged-{file_stamp(time.time_ns())}"))
        is_here = self.is_here()
        if is_here:
            self.path.rename(aside)
        for suffix, side in self._sides.items():
            path = self.path.with_name(self.path.name + suffix)
            if side is None or identity(path) != side:  # somebody else's
                continue
            if is_here or (suffix == "-wal" and path.stat().st_size):
                path.rename(aside.with_name(aside.name + suffix))
            else:
                path.unlink()
        return aside if is_here else None


def _free(path: Path) -> Path:
    """The path, or one beside it that nothing has."""
    number, free = 1, path
    while os.path.lexists(free):
        number += 1
        free = path.with_name(f"{path.name}-{number}")
    return free


def set_aside(path: Path) -> list[Path]:
    """The files that were set aside beside a database because they were damaged as a whole, the oldest first."""
    beside = path.parent.glob(f"{path.name.replace('[', '[[]')}.damaged-*")
    return sorted(file for file in beside if not file.name.endswith((*_SIDES, "-journal")))
