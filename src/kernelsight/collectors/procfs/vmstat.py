"""Activity of the virtual memory system, from /proc/vmstat (mm/vmstat.c)."""

from __future__ import annotations

from kernelsight.collectors.base import Host, collector
from kernelsight.collectors.damage import parsing
from kernelsight.collectors.files import KernelFile
from kernelsight.collectors.text import lines, numbers, pairs
from kernelsight.events.declare import kind_of
from kernelsight.events.memory import Vmstat

# The columns have the kernel's own names.
_COLUMNS = {column.encode(): column for column in kind_of(Vmstat).column_names if column != "timestamp"}


@collector(source="procfs", emits=(Vmstat,))
class VmstatCollector:
    """Faults, swapping, reclaim, compaction and huge pages since boot."""

    def __init__(self, host: Host) -> None:
        self._file = KernelFile(host.proc / "vmstat", records=True, size=16384)

    def collect(self, now: int) -> list[Vmstat]:
        """Read it once."""
        return [parse_vmstat(self._file.read(), now)]

    def close(self) -> None:
        """Close the file."""
        self._file.close()


def parse_vmstat(text: bytes, now: int) -> Vmstat:
    """Parse lines such as ``pgfault 3477077``; what a kernel does not count is None.

    Raises:
        SourceUnavailableError: it is not vmstat.
    """
    with parsing("/proc/vmstat", text):
        counters = pairs(lines(text), b" ")
        if not counters.keys() & _COLUMNS.keys():
            raise KeyError("no pgfault")
        values = numbers([counters[key] for key in _COLUMNS if key in counters])
        return Vmstat(
            now, **dict(zip([column for key, column in _COLUMNS.items() if key in counters], values, strict=True))
        )
