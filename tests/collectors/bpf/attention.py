"""Whether the kernel ran BPF programs all the time: some kernels run none on a CPU for milliseconds, and say nothing.

While a CPU is so, its interrupts and what they do (timers of TCP, packets, ends of I/O) are traced by no program, and
no program's count of misses grows. The kernel's own count of timer interrupts shows it.
"""

from __future__ import annotations

from contextlib import suppress
from pathlib import Path

from kernelsight.collectors.bpf.libbpf import Object
from kernelsight.errors import SourceUnavailableError


def counted() -> int:
    """Timer interrupts of all CPUs so far, as the kernel counts them."""
    for line in Path("/proc/interrupts").read_text().splitlines():
        if line.split(":")[0].strip() == "LOC":
            return sum(int(number) for number in line.split() if number.isdigit())
    return 0


class Attention:
    """Counts timer interrupts that programs do not see, from its making on.

    Args:
        image: ticks.bpf.c, compiled; without it, and where the kernel has no such tracepoint, all count as seen.
    """

    def __init__(self, image: bytes | None) -> None:
        self._object = self._seen = None
        with suppress(SourceUnavailableError):
            if image is not None:
                self._object = Object(image, "ticks")
                self._object.attach("on_tick")
                self._seen = self._object.variable("ticks")
                # Read in this order now, and in the other at the end: never too many.
                self._began = self._seen.value - counted()

    def unseen(self) -> int:
        """Timer interrupts so far that no program saw."""
        return max(0, counted() - self._seen.value + self._began) if self._seen else 0

    def close(self) -> None:
        """Detach the program."""
        if self._object:
            self._object.close()
