"""Who keeps the write-ahead log from starting anew: processes that read an older state of the database.

SQLite's readers hold a POSIX lock on one byte of the log's index, the file ``-shm`` beside the database
(sqlite.org/walformat.html, "WAL Locks"); the kernel lists them in ``/proc/locks``. The index is not opened here:
closing it would release this process's own locks on it.
"""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path

_FIRST_READ_LOCK, _LAST_READ_LOCK = 123, 127
_PROC = Path("/proc")


def log_readers(database: Path, proc: Path = _PROC) -> list[int]:
    """Processes that read the database at this moment, this one left out, in the order of their pids.

    Args:
        database: the file.
        proc: where procfs is mounted.
    """
    try:
        index = database.with_name(f"{database.name}-shm").stat()
        text = (proc / "locks").read_text(errors="replace")
    except OSError:
        return []
    device = f"{os.major(index.st_dev):02x}:{os.minor(index.st_dev):02x}:{index.st_ino}"
    return sorted({*holders(text, device)} - {os.getpid()})


def holders(text: str, file: str) -> Iterator[int]:
    """The pids that hold a lock of readers on a file, from the text of /proc/locks (proc(5)); a line may be odd.

    Args:
        text: of /proc/locks.
        file: ``major:minor:inode``, as it stands there.
    """
    for line in text.splitlines():
        words = line.split()
        if len(words) != 8 or words[1] != "POSIX" or words[5] != file:
            continue
        pid, first, last = words[4], words[6], words[7]
        if not (pid.isdecimal() and first.isdecimal()):
            continue
        end = int(last) if last.isdecimal() else _LAST_READ_LOCK
        if int(pid) > 0 and int(first) <= _LAST_READ_LOCK and end >= _FIRST_READ_LOCK:
            yield int(pid)


def process_name(pid: int, proc: Path = _PROC) -> str:
    """A process for a person: its pid and its name, where it still has one."""
    try:
        name = (proc / str(pid) / "comm").read_text(errors="replace").strip()
    except OSError:
        return f"process {pid}"
    return f"process {pid} ({name})"
