"""Load averages from /proc/loadavg (Documentation/filesystems/proc.rst)."""

from __future__ import annotations

from kernelsight.collectors.base import Host, collector
from kernelsight.collectors.damage import parsing
from kernelsight.collectors.files import KernelFile
from kernelsight.collectors.text import CutLine, lines, number, real
from kernelsight.events.scheduler import Load

_WORDS = 5


@collector(source="procfs", emits=(Load,))
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
        line = lines(text)[0]
        words: list[bytes | None] = [*line.split()]
        if len(words) < _WORDS and not isinstance(line, CutLine):
            raise ValueError(f"{len(words)} words")
        one, five, fifteen, tasks, last_pid = (words + [None] * _WORDS)[:_WORDS]
        running, _, total = (tasks or b"").partition(b"/")
        return Load(
            now,
            real(one),
            real(five),
            real(fifteen),
            number(running if tasks else None),
            number(total if tasks else None),
            number(last_pid),
        )
