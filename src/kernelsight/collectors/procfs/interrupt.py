"""Interrupts by source and CPU, from /proc/interrupts and /proc/softirqs (Documentation/filesystems/proc.rst)."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from contextlib import suppress
from dataclasses import dataclass
from typing import Literal, NamedTuple

from kernelsight.collectors.base import Host, collector
from kernelsight.collectors.clock import NS_PER_S
from kernelsight.collectors.damage import parsing
from kernelsight.collectors.files import KernelFile
from kernelsight.collectors.text import lines, name, numbers
from kernelsight.errors import SourceUnavailableError
from kernelsight.events.interrupt import Interrupt

_MANY_PER_S = 2000
"""The tick of a CPU is raised up to a thousand times a second (CONFIG_HZ)."""
_MOST_ROWS = 64
_REST = 200
"""Times as long as a read takes, to rest after it: the files grow with CPUs times devices, and cost 0.5 % at most."""
_LONGEST_DEVICE = 120

Origin = Literal["device", "processor", "softirq"]


class At(NamedTuple):
    """Of what a count is."""

    source: str
    cpu: int


@dataclass(frozen=True, slots=True)
class Line:
    """One source of interrupts."""

    source: str
    origin: Origin
    device: str
    counts: tuple[int | None, ...]
    """By the CPUs of the table."""


@collector(source="procfs", emits=(Interrupt,))
class InterruptCollector:
    """Interrupts of each source on each CPU that are many a second."""

    def __init__(self, host: Host) -> None:
        self._files = {"/proc/interrupts": KernelFile(host.proc / "interrupts", records=True, size=65536)}
        with suppress(SourceUnavailableError):
            self._files["/proc/softirqs"] = KernelFile(host.proc / "softirqs", records=True, size=16384)
        self._monotonic_ns: Callable[[], int] = host.monotonic_ns
        self._known: dict[At, int] = {}
        self._shown: set[At] = set()
        self._read_at = self._due = 0

    def collect(self, now: int) -> list[Interrupt]:
        """Read both, if it is time to, and show what was raised often since the last time."""
        moment = self._monotonic_ns()
        if moment < self._due:
            return []
        began = time.thread_time_ns()
        counts: dict[At, tuple[Line, int]] = {}
        for path, file in self._files.items():
            for cpus, line in parse_interrupts(path, file.read()):
                counts |= {
                    At(line.source, cpu): (line, count)
                    for cpu, count in zip(cpus, line.counts, strict=False)
                    if count is not None
                }
        seconds = (moment - self._read_at) / NS_PER_S if self._known else 0.0
        rates = {at: self._rate(at, count, seconds) for at, (_, count) in counts.items()}
        many = sorted((at for at, rate in rates.items() if rate >= _MANY_PER_S), key=lambda at: -rates[at])[:_MOST_ROWS]
        chosen = [*many, *sorted(at for at in self._shown - {*many} if at in counts)]
        events = [self._event(now, at, *counts[at]) for at in chosen]
        self._known = {at: count for at, (_, count) in counts.items()}
        self._shown = {*many}
        self._read_at = moment
        self._due = moment + _REST * (time.thread_time_ns() - began)
        return events

    def close(self) -> None:
        """Close the files."""
        for file in self._files.values():
            file.close()

    def _rate(self, at: At, count: int, seconds: float) -> float:
        before = self._known.get(at, count)
        return max(0, count - before) / seconds if seconds > 0 else 0.0

    @staticmethod
    def _event(now: int, at: At, line: Line, count: int) -> Interrupt:
        return Interrupt(now, at.source, at.cpu, line.origin, line.device or None, count)


def parse_interrupts(path: str, text: bytes) -> Iterator[tuple[tuple[int, ...], Line]]:
    """Parse the table: the CPUs of its columns, with each of its lines that has a number for each of them.

    Raises:
        SourceUnavailableError: it is no such table.
    """
    with parsing(path, text):
        header, *rest = lines(text)
        cpus = tuple(int(word[3:]) for word in header.split() if word.startswith(b"CPU") and word[3:].isdigit())
        if not cpus:
            raise ValueError("its first line names no CPU")
        softirqs = path.endswith("softirqs")
        parsed = [_line(line, len(cpus), softirqs=softirqs) for line in rest]
    yield from ((cpus, line) for line in parsed if line is not None)


def _line(line: bytes, cpus: int, *, softirqs: bool) -> Line | None:
    """One source; None where it is counted for the machine alone, as errors are."""
    label, _, values = line.partition(b":")
    words = values.split(None, cpus)
    if len(words) < cpus or not b"".join(words[:cpus]).isdigit():
        return None
    source = label.strip()
    origin: Origin = "softirq" if softirqs else "device" if source.isdigit() else "processor"
    device = b" ".join(words[cpus].split()) if len(words) > cpus else b""
    return Line(name(source), origin, name(device)[:_LONGEST_DEVICE], tuple(numbers(words[:cpus])))
