"""How much each process, and the machine, used of its resources in the last seconds: what `top` and `iostat` show."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import TypeVar

from benchmarks.faultbench.submission import Blamed, Found

from kernelsight.events.block import Block
from kernelsight.events.declare import Event
from kernelsight.events.memory import Memory
from kernelsight.events.process import Process
from kernelsight.events.scheduler import Cpu

SECONDS = 10
"""The last so many seconds count, as on a screen that somebody looks at."""
_NS_PER_S = 1_000_000_000
_TICKS_PER_S = 100
_WHOLE_MACHINE = -1

E = TypeVar("E", bound=Event)


@dataclass(frozen=True, slots=True)
class Share:
    """How much of a resource is used, from 0 to 1, and the process that uses most of it."""

    fault: str
    """The class of faults that a person would call it who only sees that the resource is used up."""
    of_machine: float
    of_process: float
    process: Process | None

    @property
    def findings(self) -> list[Found]:
        """The process is to blame."""
        if self.process is None:
            return []
        pid, comm = str(self.process.pid), self.process.comm or ""
        return [Found(self.fault, Blamed("process", pid, comm), min(1.0, max(0.0, self.of_process)))]


def rows(events: Sequence[Event], kind: type[E], end_ns: int) -> list[E]:
    """The events of a kind of the last seconds."""
    begin_ns = end_ns - SECONDS * _NS_PER_S
    return [event for event in events if isinstance(event, kind) and event.timestamp >= begin_ns]


def cpu(events: Sequence[Event], end_ns: int) -> Share:
    """CPU time, of all CPUs together."""
    samples = [row for row in rows(events, Cpu, end_ns) if row.cpu == _WHOLE_MACHINE]
    idle, whole = grown(samples, _idle_ticks), grown(samples, _ticks)
    process, used_ms = _most(rows(events, Process, end_ns), lambda row: (row.utime_ms or 0) + (row.stime_ms or 0))
    whole_ms = whole * 1000 / _TICKS_PER_S
    return Share("cpu_saturation", 1 - idle / whole if whole else 0.0, used_ms / whole_ms if whole_ms else 0.0, process)


def io(events: Sequence[Event], end_ns: int) -> Share:
    """The time in which the busiest disk was busy, and the bytes that processes read and wrote."""
    samples = rows(events, Block, end_ns)
    busiest = 0.0
    for device in {row.device_name for row in samples}:
        own = [row for row in samples if row.device_name == device]
        seconds = (own[-1].timestamp - own[0].timestamp) / _NS_PER_S
        busiest = max(busiest, grown(own, lambda row: row.io_ticks or 0) / 1000 / seconds if seconds else 0.0)
    own_rows = rows(events, Process, end_ns)
    process, used = _most(own_rows, _io_bytes)
    everybody = sum(grown(own, _io_bytes) for own in _by_process(own_rows))
    return Share(
        "disk_saturation", busiest, busiest * used / everybody if everybody else 0.0, process if used else None
    )


def memory(events: Sequence[Event], end_ns: int) -> Share:
    """Memory that is not available, and what is resident of a process."""
    samples = rows(events, Memory, end_ns)
    if not samples or not samples[-1].mem_total_kb:
        return Share("memory_pressure", 0.0, 0.0, None)
    total = samples[-1].mem_total_kb
    last = [own[-1] for own in _by_process(rows(events, Process, end_ns))]
    largest = max(last, key=lambda row: row.rss_kb or 0, default=None)
    available = samples[-1].mem_available_kb or 0
    return Share("memory_pressure", 1 - available / total, (largest.rss_kb or 0) / total if largest else 0.0, largest)


def grown(samples: Sequence[E], of: Callable[[E], int]) -> int:
    """What a counter grew by; nothing where it began anew."""
    return max(0, of(samples[-1]) - of(samples[0])) if samples else 0


def _most(samples: Sequence[Process], of: Callable[[Process], int]) -> tuple[Process | None, int]:
    """The process whose counter grew most, and by how much."""
    amounts = [(grown(own, of), own[-1]) for own in _by_process(samples)]
    amount, process = max(amounts, key=lambda item: item[0], default=(0, None))
    return process, amount


def _by_process(samples: Sequence[Process]) -> list[list[Process]]:
    processes: dict[tuple[int | None, int | None], list[Process]] = {}
    for row in samples:
        processes.setdefault((row.pid, row.start_ticks), []).append(row)
    return list(processes.values())


def _ticks(row: Cpu) -> int:
    return sum(
        ticks or 0 for ticks in (row.user, row.nice, row.system, row.idle, row.iowait, row.irq, row.softirq, row.steal)
    )


def _idle_ticks(row: Cpu) -> int:
    return (row.idle or 0) + (row.iowait or 0)


def _io_bytes(row: Process) -> int:
    return (row.read_bytes or 0) + (row.write_bytes or 0)
