"""Who waits for a lock on a file, from /proc/locks (fs/locks.c)."""

from __future__ import annotations

import time
from collections.abc import Iterator
from itertools import islice
from typing import Literal

from kernelsight.collectors.background_reads import BackgroundReads
from kernelsight.collectors.base import Host, collector
from kernelsight.collectors.damage import note, parsing
from kernelsight.collectors.files import KernelFile, comm_of
from kernelsight.collectors.text import CutLine, integer, lines, name
from kernelsight.events.lock import FileLockWait

_MOST = 200
"""Waits a second: a queue longer than that is no clearer for being shown whole."""
_TYPES: dict[bytes, Literal["flock", "posix", "ofd", "lease"]] = {
    b"FLOCK": "flock", b"POSIX": "posix", b"OFDLCK": "ofd", b"LEASE": "lease",
}  # fmt: skip
_WAITS = b"->"
_WORDS = 5
_PATIENCE_S = 0.03
"""How long the other collectors may be kept waiting for a reading, which mostly takes a third of that."""
_REST = 99
"""Pause after a reading, in times of what it took: nobody is kept from locking files for more than 1 % of the time."""


@collector(formerly="file_locks", source="procfs", emits=(FileLockWait,))
class FileLocks:
    """Processes that wait for a lock on a file (200 at most), and who has it; nothing where nobody waits.

    While the list is read, the kernel lets nobody lock a file, and it waits for a grace period of RCU before:
    some 8 ms, and seconds where RCU's thread gets no CPU. So a thread of its own reads it, and rests.
    """

    def __init__(self, host: Host) -> None:
        self._proc = host.proc
        self._file = KernelFile(host.proc / "locks", records=True, size=16384)
        self._aside = BackgroundReads(self._read)
        self._rests_until = 0.0

    def collect(self, now: int) -> list[FileLockWait]:
        """What was read since the last time, if anything; a reading that takes long is handed out when it is there."""
        if not self._aside.is_busy and time.monotonic() >= self._rests_until:
            self._aside.ask(now)
        done = self._aside.answer(_PATIENCE_S)
        if done is None:
            return []
        self._rests_until = time.monotonic() + _REST * done.seconds
        if done.error is not None:
            raise done.error
        return self._said(done.answer or b"", done.question)

    def _read(self, _: int) -> bytes:
        return self._file.read()

    def _said(self, text: bytes, now: int) -> list[FileLockWait]:
        if _WAITS not in text:
            return []
        waits = list(islice(parse_locks(text, now), _MOST))
        for wait in waits:
            wait.comm, wait.holder_comm = (
                None if pid is None else comm_of(self._proc, pid) for pid in (wait.pid, wait.holder_pid)
            )
        return waits

    def close(self) -> None:
        """Close the file; a reading that is under way fails, and nobody asks for it."""
        self._aside.close()
        self._file.close()


def parse_locks(text: bytes, now: int) -> Iterator[FileLockWait]:
    """Parse lines such as ``1: FLOCK  ADVISORY  WRITE 812 fe:00:2155003 0 EOF``; ``1: -> FLOCK ...`` waits for it.

    Raises:
        SourceUnavailableError: it is not that.
    """
    with parsing("/proc/locks", text):
        holder: int | None = None
        rows = lines(text) if text.strip(b"\0") else []
        odd = 0
        for line in rows:
            try:
                waits, lock = _lock(now, line)
            except ValueError as error:
                note(str(error), line)
                odd += 1
                holder = None  # the holder of the lock that the next lines wait for is not known
                continue
            if not waits:
                holder = lock.pid
                continue
            lock.holder_pid = holder
            yield lock
        if rows and odd == len(rows):
            raise ValueError("it has no lock")


def _lock(now: int, line: bytes) -> tuple[bool, FileLockWait]:
    """Whether a line waits for the lock above it, and what it says."""
    words = line.split()
    waits = words[1:2] == [_WAITS]
    described = words[2:] if waits else words[1:]
    if len(described) < _WORDS or isinstance(line, CutLine):
        raise ValueError("it has too few words")
    kind, _, _, pid, place, *_ = described
    who = integer(pid)
    device, _, inode = place.rpartition(b":")
    return waits, FileLockWait(
        now,
        pid=who if who > 0 else None,
        lock_type=_TYPES.get(kind, "other"),
        device_name=name(device) or None,
        inode=integer(inode) if inode.isdigit() else None,
    )
