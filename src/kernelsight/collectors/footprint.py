"""What this process uses: CPU time and memory, and what memory grows by from one reading to the next."""

from __future__ import annotations

import os
import time
from typing import NamedTuple

_PAGE_KB = os.sysconf("SC_PAGE_SIZE") // 1024
_RESIDENT = 1
"""Its place in /proc/PID/statm (Documentation/filesystems/proc.rst), in pages."""


class Footprint(NamedTuple):
    """The process with all its threads."""

    cpu_ns: int
    rss_kb: int | None
    """Resident memory; None where there is no /proc."""


class Usage:
    """Reads what this process uses, and keeps the file for it open."""

    def __init__(self) -> None:
        try:
            self._statm = os.open("/proc/self/statm", os.O_RDONLY | os.O_CLOEXEC)
        except OSError:
            self._statm = -1
        self._rss_kb = self._read()

    def footprint(self) -> Footprint:
        """What it uses now."""
        return Footprint(time.process_time_ns(), self._read())

    def grown_kb(self) -> int:
        """What resident memory grew by since the last call, negative where it shrank."""
        before, self._rss_kb = self._rss_kb, self._read()
        return (self._rss_kb or 0) - (before or 0)

    def close(self) -> None:
        """Close the file; calling it again does nothing."""
        if self._statm >= 0:
            os.close(self._statm)
        self._statm = -1

    def _read(self) -> int | None:
        return None if self._statm < 0 else int(os.pread(self._statm, 256, 0).split()[_RESIDENT]) * _PAGE_KB
