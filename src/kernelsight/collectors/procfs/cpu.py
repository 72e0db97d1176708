"""Where CPU time goes, from /proc/stat (Documentation/filesystems/proc.rst)."""

from __future__ import annotations

from collections.abc import Sequence

from kernelsight.collectors.base import Host, collector
from kernelsight.collectors.files import KernelFile
from kernelsight.collectors.text import number, parsing, whole_lines
from kernelsight.events.scheduler import Cpu

ALL_TOGETHER = -1

_TIMES = ("user", "nice", "system", "idle", "iowait", "irq", "softirq", "steal", "guest", "guest_nice")
_OF_THE_MACHINE = {
    b"ctxt": "context_switches",
    b"processes": "forks",
    b"intr": "interrupts",
    b"procs_running": "procs_running",
    b"procs_blocked": "procs_blocked",
}


@collector("cpu", source="procfs", emits=(Cpu,))
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

    Kernels before 2.6.33 lack the last columns of time; they are None then.

    Raises:
        SourceUnavailableError: it is not /proc/stat.
    """
    with parsing("/proc/stat", text):
        cpus: list[Cpu] = []
        machine: dict[str, int | None] = {}
        for line in whole_lines(text):
            # The rest of a line may be long: `intr` has a column for every interrupt.
            label, _, rest = line.partition(b" ")
            if label.startswith(b"cpu"):
                cpus.append(_cpu(now, label, rest.split()))
            elif label in _OF_THE_MACHINE:
                machine[_OF_THE_MACHINE[label]] = number(rest.split(None, 1)[0])
        if not cpus or cpus[0].cpu != ALL_TOGETHER:
            raise ValueError("its first line is not that of all CPUs")
        for column, value in machine.items():
            setattr(cpus[0], column, value)
        return cpus


def _cpu(now: int, label: bytes, times: Sequence[bytes]) -> Cpu:
    # The first three have always been there; a line without them is damaged.
    user, nice, system, *more = map(number, times)
    which = ALL_TOGETHER if label == b"cpu" else number(label[3:])
    return Cpu(now, which, user, nice, system, **dict(zip(_TIMES[3:], more, strict=False)))
