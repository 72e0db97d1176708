"""Checkpoints beside the writer: what the write-ahead log holds goes into the database without a batch waiting for it.

SQLite makes a checkpoint within the commit that finds the log long, and that batch waits for all of
it: 0.1 s and more. A thread with a connection of its own makes it while the writer goes on; reading
and writing the file and the fsync happen without the interpreter's lock. The log starts anew once
all of it has been copied, which does not happen while the writer never rests. So beyond
:data:`LONGEST_PAGES` a commit copies the rest itself: little, because the thread has been there.
"""

from __future__ import annotations

import threading
from contextlib import suppress
from pathlib import Path

import apsw

from kernelsight.stores.sqlite.connect import PAGE_BYTES
from kernelsight.stores.sqlite.log_readers import log_readers, process_name

BACKGROUND_PAGES = 2_000
"""16 MB of log between two checkpoints of the thread: an fsync or two for each, not for a commit."""
LONGEST_PAGES = 16_000
"""128 MB of log at most, while nobody reads an older state."""
_PATIENCE_MS = 2_000


class Checkpointer:
    """The thread, and the hook by which the writer's commits wake it."""

    def __init__(self, path: Path, writer: apsw.Connection) -> None:
        """Take the checkpoints over from a writer's connection; it is closed after :meth:`close`."""
        self._connection = apsw.Connection(str(path))
        self._connection.execute("PRAGMA synchronous = NORMAL").fetchall()
        self._due = threading.Event()
        self._ends = False
        self._asked_at = 0
        self._path = path
        self._pages = 0
        writer.execute("PRAGMA wal_autocheckpoint = 0").fetchall()
        writer.set_wal_hook(self._committed)
        self._thread = threading.Thread(target=self._run, name="checkpoints", daemon=True)
        self._thread.start()

    def close(self) -> None:
        """End the thread; a checkpoint that is under way is finished first."""
        self._ends = True
        self._due.set()
        self._thread.join()
        self._connection.close()

    def leave(self) -> None:
        """End the thread; nothing more is put into the database, whose file is not what it was."""
        self._connection.config(apsw.SQLITE_DBCONFIG_NO_CKPT_ON_CLOSE, 1)
        self.close()

    def _committed(self, writer: apsw.Connection, name: str, pages: int) -> int:
        """After every commit of the writer, with the length of the log."""
        del name
        self._pages = pages
        if pages < self._asked_at:  # it started anew
            self._asked_at = 0
        if pages >= LONGEST_PAGES:
            _checkpoint(writer)
        elif pages - self._asked_at >= BACKGROUND_PAGES:
            self._asked_at = pages
            self._due.set()
        return apsw.SQLITE_OK

    def warnings(self) -> list[str]:
        """That the log is longer than it should be, and who keeps it from starting anew."""
        if self._pages < 2 * LONGEST_PAGES:
            return []
        readers = ", ".join(map(process_name, log_readers(self._path))) or "a reader that /proc/locks does not show"
        size = self._pages * PAGE_BYTES / 1e6
        return [
            f"the write-ahead log has grown to {size:.0f} MB, because {readers} reads an older state: end that program"
        ]

    def _run(self) -> None:
        while True:
            self._due.wait()
            if self._ends:
                return
            self._due.clear()
            _checkpoint(self._connection)


def finish(connection: apsw.Connection) -> None:
    """Before a connection that wrote is closed: put everything into the database, and empty the log.

    SQLite does so by itself only where the connection is the last one and may write. Where somebody still reads
    an older state after :data:`_PATIENCE_MS`, what can be copied is copied, and the log stays beside the file.
    """
    connection.set_busy_timeout(_PATIENCE_MS)
    try:
        connection.wal_checkpoint(mode=apsw.SQLITE_CHECKPOINT_TRUNCATE)
    except apsw.Error:
        _checkpoint(connection)


def _checkpoint(connection: apsw.Connection) -> None:
    """Copy what can be copied without waiting for anybody.

    A checkpoint that fails (somebody else makes one, the disk is full) loses nothing and is made later;
    what is wrong with the disk, the next commit says.
    """
    with suppress(apsw.Error):
        connection.wal_checkpoint(mode=apsw.SQLITE_CHECKPOINT_PASSIVE)
