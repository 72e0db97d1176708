"""Which file a process has code of at an address (proc_pid_maps(5))."""

from __future__ import annotations

import re
import time
from bisect import bisect_right
from collections import OrderedDict
from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple

_MOST_BYTES = 1 << 20
"""Of one process's list: some ten thousand mappings."""
_MOST_PROCESSES = 256
_LONG_NS = 1_000_000
_REST = 200
"""Pause after a reading of one process that took long, in times of what it took: half a per cent of a CPU. A process of
thousands of threads has a mapping for the stack of each, and its list takes 10 ms and more."""
_LONGEST_PATH = 1024


_EXECUTABLE = re.compile(
    rb"^([0-9a-f]{1,16})-([0-9a-f]{1,16}) ..x. ([0-9a-f]{1,16}) ([0-9a-f:]{1,16}) ([0-9]{1,20}) *(.*)$", re.MULTILINE
)


class Mapping(NamedTuple):
    """A range of memory that may be executed."""

    start: int
    end: int
    offset: int
    """Of its start, in the file."""
    inode: str
    """Device and inode, such as `fd:00 1234`; empty where it is of no file."""
    path: str
    """As the process sees it, `[vdso]`, or empty. Bytes that are no text are escaped."""


def parse_maps(text: bytes) -> Iterator[Mapping]:
    """The mappings that may be executed, in the order of their addresses; a line that is none is passed over."""
    for start, end, offset, device, inode, path in _EXECUTABLE.findall(text):
        place = "" if inode == b"0" else f"{device.decode()} {inode.decode()}"
        shown = path.decode("utf-8", "backslashreplace")[:_LONGEST_PATH]
        yield Mapping(int(start, 16), int(end, 16), int(offset, 16), place, shown)


class Process:
    """The mappings of one process as they were last read."""

    def __init__(self, mappings: list[Mapping]) -> None:
        self._mappings = mappings
        self._starts = [mapping.start for mapping in mappings]

    def at(self, address: int) -> Mapping | None:
        """The mapping that an address is in."""
        place = bisect_right(self._starts, address) - 1
        if place < 0 or address >= self._mappings[place].end:
            return None
        return self._mappings[place]


class Mappings:
    """The mappings of the processes that were last asked for."""

    def __init__(self, proc: Path) -> None:
        self._proc = proc
        self._processes: OrderedDict[int, Process] = OrderedDict()
        self._rests_until: dict[int, int] = {}
        """Processes of very many mappings, until when what was read of them has to do (CLOCK_MONOTONIC, ns)."""

    def of(self, pid: int) -> Process | None:
        """Those of a process as they were read; None if they were never read."""
        process = self._processes.get(pid)
        if process is not None:
            self._processes.move_to_end(pid)
        return process

    def read(self, pid: int) -> Process | None:
        """Read those of a process; what was known stays where it is gone, may not be read, or took long just now."""
        if pid in self._rests_until and time.monotonic_ns() < self._rests_until[pid]:
            return self.of(pid)
        began = time.thread_time_ns()
        try:
            with (self._proc / str(pid) / "maps").open("rb") as file:
                process = Process(list(parse_maps(file.read(_MOST_BYTES))))
        except OSError:
            return self.of(pid)
        self._processes[pid] = process
        self._processes.move_to_end(pid)
        self._rest(pid, time.thread_time_ns() - began)
        while len(self._processes) > _MOST_PROCESSES:
            self._processes.popitem(last=False)
        return process

    def _rest(self, pid: int, took_ns: int) -> None:
        self._rests_until.pop(pid, None)
        if took_ns > _LONG_NS:
            self._rests_until[pid] = time.monotonic_ns() + _REST * took_ns
        if len(self._rests_until) > _MOST_PROCESSES:
            now = time.monotonic_ns()
            self._rests_until = {one: until for one, until in self._rests_until.items() if until > now}
