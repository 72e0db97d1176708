"""Functions that a program compiled while it ran, by the file that it writes for perf(1): /tmp/perf-PID.map.

(tools/perf/Documentation/jit-interface.txt.) `node --perf-basic-prof`, `java` with perf-map-agent, Python >= 3.12 with
`-X perf` write one. The process's own root and its own number there are used. The file is believed only where the
process's user, or root, owns it and nobody else may write it; it is opened without following a link.
"""

from __future__ import annotations

import os
import re
import stat
from bisect import bisect_right
from pathlib import Path

_LARGEST = 64 << 20
_LONGEST_NAME = 512
_LINE = re.compile(rb"^(?:0x)?([0-9a-f]{1,16}) (?:0x)?([0-9a-f]{1,8}) ([^\n]{1,%d})" % _LONGEST_NAME, re.MULTILINE)
_DIRECTORY = os.O_PATH | os.O_DIRECTORY | os.O_NOFOLLOW | os.O_CLOEXEC
_FILE = os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC | os.O_NOCTTY
_OTHERS_WRITE = stat.S_IWGRP | stat.S_IWOTH


class PerfMap:
    """The functions of one process."""

    def __init__(self, text: bytes) -> None:
        ranges: dict[int, tuple[int, str]] = {}
        for start, size, name in _LINE.findall(text):
            # A function that was compiled later at the same place took the place of the one before.
            ranges[int(start, 16)] = int(size, 16), name.decode("utf-8", "backslashreplace")
        self._starts = sorted(ranges)
        self._ranges = ranges

    def name_at(self, address: int) -> str | None:
        """The function at an address; None where none is."""
        place = bisect_right(self._starts, address) - 1
        if place < 0:
            return None
        start = self._starts[place]
        size, name = self._ranges[start]
        return name if address < start + size else None


def perf_map(pid: int, proc: Path = Path("/proc")) -> PerfMap | str:
    """The file of a process, or why there is none that can be believed."""
    process = proc / str(pid)
    if not process.exists():
        return "it has ended, and what it compiled is not known any more"
    try:
        owner = process.stat().st_uid
        name = f"perf-{_own_number(process)}.map"
        root = os.open(process / "root", os.O_PATH | os.O_DIRECTORY | os.O_CLOEXEC)
        try:
            folder = os.open("tmp", _DIRECTORY, dir_fd=root)
        finally:
            os.close(root)
        try:
            descriptor = os.open(name, _FILE, dir_fd=folder)
        finally:
            os.close(folder)
    except (OSError, ValueError):
        return "it has no /tmp/perf-PID.map"
    with os.fdopen(descriptor, "rb") as file:
        status = os.fstat(descriptor)
        if not stat.S_ISREG(status.st_mode) or status.st_uid not in {owner, 0} or status.st_mode & _OTHERS_WRITE:
            return f"its /tmp/{name} may be another user's work"
        if status.st_size > _LARGEST:
            return f"its /tmp/{name} is larger than {_LARGEST >> 20} MiB"
        return PerfMap(file.read(_LARGEST))


def _own_number(process: Path) -> int:
    """The process's number in its own namespace: the last of `NSpid`."""
    with (process / "status").open("rb") as file:
        for line in file:
            if line.startswith(b"NSpid:"):
                return int(line.split()[-1])
    return int(process.name)
