"""Processes to look at, and what a process uses; shared by the benchmarks of collectors and of tracers."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

PROCESSES = 300
MOVER_EVERY = 10

CROWD = """
import os, signal, sys, time
for number in range(int(sys.argv[1])):
    if os.fork() == 0:
        while number % int(sys.argv[2]) == 0:
            time.sleep(0.2)
            sum(range(2000))
        signal.pause()
print("ready", flush=True)
signal.pause()
"""


@contextmanager
def crowd(count: int) -> Iterator[None]:
    """Processes that sleep, every tenth of which moves five times a second."""
    command = [sys.executable, "-c", CROWD, str(count), str(MOVER_EVERY)]
    with subprocess.Popen(command, stdout=subprocess.PIPE, start_new_session=True) as parent:
        try:
            assert parent.stdout is not None
            parent.stdout.readline()
            yield
        finally:
            os.killpg(parent.pid, signal.SIGKILL)


def count_processes() -> int:
    """How many there are on this machine."""
    return sum(path.name.isdigit() for path in Path("/proc").iterdir())


def tree(pid: int) -> list[int]:
    """A process and all that descend from it."""
    found = [pid]
    for parent in found:
        for task in Path(f"/proc/{parent}/task").glob("*/children"):
            with suppress(OSError):
                found += map(int, task.read_text().split())
    return found


def memory_mb(pid: int, what: str = "Pss") -> float:
    """Memory of a tree, what is shared divided among those who share it (1 MB = 10^6 B), or `Rss`: as a whole."""
    total = 0
    for member in tree(pid):
        with suppress(OSError):
            text = Path(f"/proc/{member}/smaps_rollup").read_text()
            total += int(text.split(f"\n{what}:")[1].split()[0])
    return total * 1024 / 1e6
