"""Functions that a program compiled while it ran, by the file that it writes for perf(1): /tmp/perf-PID.map.

(tools/perf/Documentation/jit-interface.txt.) `node --perf-basic-prof`, `java` with perf-map-agent, Python >= 3.12 with
`-X perf` write one. The process's own root and its own number there are used. The file is believed only where the
process's user, or root, owns it and nobody else may write it; it is opened without following a link.
"""

from __future__ import annotations

import os
import re
import stat
import time
from array import array
from pathlib import Path

import numpy as np

_LARGEST = 64 << 20
_MOST_LINES = 1_000_000
_LONGEST_NAME = 512
_LINE = re.compile(rb"^(?:0x)?([0-9a-f]{1,16}) (?:0x)?([0-9a-f]{1,8}) ([^\n]{1,%d})" % _LONGEST_NAME, re.MULTILINE)
_DIRECTORY = os.O_PATH | os.O_DIRECTORY | os.O_NOFOLLOW | os.O_CLOEXEC
_FILE = os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC | os.O_NOCTTY
_OTHERS_WRITE = stat.S_IWGRP | stat.S_IWOTH
_STARTED = 19
"""Place of `starttime` among the words after the name in /proc/PID/stat (proc_pid_stat(5)), in ticks since boot."""
_SLACK_NS = 2_000_000_000
"""What the clock may have been corrected by since."""


class PerfMap:
    """The functions of one process."""

    def __init__(self, text: bytes) -> None:
        self._text = text
        found = array("Q")
        for line in _LINE.finditer(text):
            found.extend((int(line[1], 16), int(line[2], 16), *line.span(3)))
        table = np.array(found, dtype=np.uint64).reshape(-1, 4)
        # A function that was compiled later at the same place took the place of the one before: the last is found.
        self._table = table[np.argsort(table[:, 0], kind="stable")]
        self._starts = np.ascontiguousarray(self._table[:, 0])

    def name_at(self, address: int) -> str | None:
        """The function at an address; None where none is."""
        if not 0 <= address < 1 << 64:
            return None
        place = int(np.searchsorted(self._starts, np.uint64(address), "right")) - 1
        if place < 0:
            return None
        start, size, begins, ends = map(int, self._table[place])
        return self._text[begins:ends].decode("utf-8", "backslashreplace") if address < start + size else None


def perf_map(pid: int, proc: Path = Path("/proc"), seen_ns: int | None = None) -> PerfMap | str:
    """The file of a process, or why there is none that can be believed.

    Args:
        pid: the process.
        proc: where processes are.
        seen_ns: when it was seen at the latest (ns since the epoch): one that started later is another one.
    """
    process = proc / str(pid)
    if not process.exists():
        return "it has ended, and what it compiled is not known any more"
    try:
        if seen_ns is not None and _started_ns(process) > seen_ns + _SLACK_NS:
            return "it has ended, and another process has its number now"
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
    except (OSError, ValueError, IndexError):
        return "it has no /tmp/perf-PID.map"
    return _read(descriptor, name, owner)


def _read(descriptor: int, name: str, owner: int) -> PerfMap | str:
    with os.fdopen(descriptor, "rb") as file:
        status = os.fstat(descriptor)
        if not stat.S_ISREG(status.st_mode) or status.st_uid not in {owner, 0} or status.st_mode & _OTHERS_WRITE:
            return f"its /tmp/{name} may be another user's work"
        if status.st_size > _LARGEST:
            return f"its /tmp/{name} is larger than {_LARGEST >> 20} MiB"
        text = file.read(_LARGEST)
    if text.count(b"\n") > _MOST_LINES:
        return f"its /tmp/{name} has more than {_MOST_LINES:,} lines"
    return PerfMap(text)


def _started_ns(process: Path) -> int:
    """When a process started (ns since the epoch), by today's clock."""
    ticks = int((process / "stat").read_bytes().rpartition(b")")[2].split()[_STARTED])
    boot_ns = time.time_ns() - time.clock_gettime_ns(time.CLOCK_BOOTTIME)
    return boot_ns + ticks * 1_000_000_000 // os.sysconf("SC_CLK_TCK")


def _own_number(process: Path) -> int:
    """The process's number in its own namespace: the last of `NSpid`."""
    with (process / "status").open("rb") as file:
        for line in file:
            if line.startswith(b"NSpid:"):
                return int(line.split()[-1])
    return int(process.name)
