"""Load averages from /proc/loadavg (Documentation/filesystems/proc.rst)."""

from __future__ import annotations

from kernelsight.collectors.base import Host, collector
from kernelsight.collectors.files import KernelFile
from kernelsight.collectors.text import number, parsing, real, whole_lines
from kernelsight.events.scheduler import Load


@collector("load", source="procfs", emits=(Load,))
class LoadCollector:
    """Load averages and the number of tasks."""

    def __init__(self, host: Host) -> None:
        self._file = KernelFile(host.proc / "loadavg")

    def collect(self, now: int) -> list[Load]:
        """Read it once."""
        return [parse_loadavg(self._file.read(), now)]

    def close(self) -> None:
        """Close the file."""
        self._file.close()


def parse_loadavg(text: bytes, now: int) -> Load:
    """Parse ``0.72 0.25 0.08 1/119 9777``.

    Raises:
        SourceUnavailableError: it is not that.
    """
    with parsing("/proc/loadavg", text):
        (line,) = whole_lines(text)
        one, five, fifteen, tasks, last_pid, *_ = line.split()
        running, total = tasks.split(b"/")
        return Load(now, real(one), real(five), real(fifteen), number(running), number(total), number(last_pid))
