"""Who waits for a lock on a file, from /proc/locks (fs/locks.c)."""

from __future__ import annotations

from collections.abc import Iterator
from itertools import islice
from pathlib import Path
from typing import Literal

from kernelsight.collectors.base import Host, collector
from kernelsight.collectors.files import KernelFile
from kernelsight.collectors.text import name, parsing, whole_lines
from kernelsight.events.lock import FileLockWait

_MOST = 200
"""Waits a second: a queue longer than that is no clearer for being shown whole."""
_TYPES: dict[bytes, Literal["flock", "posix", "ofd", "lease"]] = {
    b"FLOCK": "flock", b"POSIX": "posix", b"OFDLCK": "ofd", b"LEASE": "lease",
}  # fmt: skip
_WAITS = b"->"


@collector("file_locks", source="procfs", emits=(FileLockWait,))
class FileLocks:
    """Processes that wait for a lock on a file (200 at most), and who has it; nothing where nobody waits."""

    def __init__(self, host: Host) -> None:
        self._proc = host.proc
        self._file = KernelFile(host.proc / "locks", records=True, size=16384)

    def collect(self, now: int) -> list[FileLockWait]:
        """Read the list once."""
        text = self._file.read()
        if _WAITS not in text:
            return []
        waits = list(islice(parse_locks(text, now), _MOST))
        for wait in waits:
            wait.comm, wait.holder_comm = _comm(self._proc, wait.pid), _comm(self._proc, wait.holder_pid)
        return waits

    def close(self) -> None:
        """Close the file."""
        self._file.close()


def parse_locks(text: bytes, now: int) -> Iterator[FileLockWait]:
    """Parse lines such as ``1: FLOCK  ADVISORY  WRITE 812 fe:00:2155003 0 EOF``; ``1: -> FLOCK ...`` waits for it.

    Raises:
        SourceUnavailableError: it is not that.
    """
    with parsing("/proc/locks", text):
        holder: int | None = None
        for line in whole_lines(text) if text else ():
            words = line.split()
            waits = words[1] == _WAITS
            kind, _, _, pid, place, *_ = words[2:] if waits else words[1:]
            who = int(pid) if int(pid) > 0 else None
            if not waits:
                holder = who
                continue
            device, _, inode = place.rpartition(b":")
            yield FileLockWait(
                now,
                pid=who,
                holder_pid=holder,
                lock_type=_TYPES.get(kind, "other"),
                device_name=name(device) or None,
                inode=int(inode) if inode.isdigit() else None,
            )


def _comm(proc: Path, pid: int | None) -> str | None:
    if pid is None:
        return None
    try:
        return name((proc / str(pid) / "comm").read_bytes().rstrip(b"\n"))
    except OSError:
        return None  # it has ended, or lives where we cannot see it
