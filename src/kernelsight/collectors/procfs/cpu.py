"""Where CPU time goes, from /proc/stat (Documentation/filesystems/proc.rst)."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from functools import partial

from kernelsight.collectors.base import Host, collector
from kernelsight.collectors.damage import parsing, rows
from kernelsight.collectors.files import KernelFile
from kernelsight.collectors.text import CutLine, integer, lines, number, numbers
from kernelsight.events.scheduler import Cpu

ALL_TOGETHER = -1

_TIMES = ("user", "nice", "system", "idle", "iowait", "irq", "softirq", "steal", "guest", "guest_nice")
_WIDTH = 1 + len(_TIMES)
_LEAST_TIMES = 3  # have always been there
_OF_THE_MACHINE = {
    b"ctxt": "context_switches",
    b"processes": "forks",
    b"intr": "interrupts",
    b"procs_running": "procs_running",
    b"procs_blocked": "procs_blocked",
}


@collector(source="procfs", emits=(Cpu,))
class CpuCollector:
    """Time of every CPU by what it did, context switches, forks, interrupts."""

    def __init__(self, host: Host) -> None:
        self._file = KernelFile(host.proc / "stat", size=8192)

    def collect(self, now: int) -> list[Cpu]:
        """Read it once."""
        return parse_stat(self._file.read(), now)

    def close(self) -> None:
        """Close the file."""
        self._file.close()


def parse_stat(text: bytes, now: int) -> list[Cpu]:
    """Parse /proc/stat: one event for all CPUs together (-1), then one for each that is online.

    Kernels before 2.6.33 lack the last columns of time; they are None then. A line with another number
    of columns than the others is left out: which of them is missing cannot be told.

    Raises:
        SourceUnavailableError: it is not /proc/stat.
    """
    with parsing("/proc/stat", text):
        times: list[bytes] = []
        machine: dict[str, int | None] = {}
        for line in lines(text):
            # The rest of a line may be long: `intr` has a column for every interrupt.
            label, _, rest = line.partition(b" ")
            if label.startswith(b"cpu"):
                times.append(line)
            elif (column := _OF_THE_MACHINE.get(label)) is not None:
                machine.setdefault(column, number(next(iter(rest.split(None, 1)), None)))
        cpus = list(rows(partial(_cpu, now, _width(times)), times))
        if not cpus and not machine:
            raise ValueError("it has no line of a CPU")
        if machine and (not cpus or cpus[0].cpu != ALL_TOGETHER):
            cpus.insert(0, Cpu(now, ALL_TOGETHER))
        for column, value in machine.items():
            setattr(cpus[0], column, value)
        return cpus


def _width(times: Sequence[bytes]) -> int:
    """How many words a line of a CPU has: the most there may be if any has them, else as many as most have."""
    widths: Counter[int] = Counter()
    for line in times:
        if not isinstance(line, CutLine):
            width = len(line.split())
            if width == _WIDTH:
                return width
            widths[width] += 1
    return widths.most_common(1)[0][0] if widths else _WIDTH


def _cpu(now: int, width: int, line: bytes) -> Cpu:
    label, *times = line.split()
    if not isinstance(line, CutLine) and (len(times) + 1 != width or len(times) < _LEAST_TIMES):
        raise ValueError(f"it has {len(times)} columns, others have {width - 1}")
    if label != b"cpu" and not label[3:].isdigit():
        raise ValueError("it has no number of a CPU")
    which = ALL_TOGETHER if label == b"cpu" else integer(label[3:])
    return Cpu(now, which, **dict(zip(_TIMES, numbers(times), strict=False)))
