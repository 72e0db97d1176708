"""Time: the monotonic clock that paces the grid, and what it reads on the Unix epoch."""

from __future__ import annotations

import select
import time
from typing import Protocol

NS_PER_S = 1_000_000_000
_REFRESH_NS = NS_PER_S
_TRIES = 3


class Clock(Protocol):
    """Reads both clocks and waits; passed in, so that tests need not wait."""

    def monotonic_ns(self) -> int:
        """CLOCK_MONOTONIC, the clock of ``bpf_ktime_get_ns``."""

    def epoch_ns(self) -> int:
        """CLOCK_REALTIME."""

    def wait(self, poller: select.poll, timeout_ns: int) -> list[int]:
        """Wait for a descriptor of ``poller`` or the timeout; return the descriptors that are ready."""


class SystemClock:
    """The machine's own clocks."""

    def monotonic_ns(self) -> int:
        """CLOCK_MONOTONIC."""
        return time.monotonic_ns()

    def epoch_ns(self) -> int:
        """CLOCK_REALTIME."""
        return time.time_ns()

    def wait(self, poller: select.poll, timeout_ns: int) -> list[int]:
        """Wait in poll(2); it counts in milliseconds and wakes up to one late, never early."""
        return [fd for fd, _ in poller.poll(timeout_ns / 1e6)]


class EpochTime:
    """Turns monotonic stamps into stamps on the epoch.

    The distance of the two clocks changes when somebody sets the clock, when NTP slews it, and by
    the length of every suspend (which CLOCK_MONOTONIC does not count), so it is measured anew once
    a second.
    """

    def __init__(self, clock: Clock) -> None:
        self._clock = clock
        self._offset_ns = 0
        self._measured_at = 0
        self._measure()

    def at(self, monotonic_ns: int) -> int:
        """The epoch time (ns) of a moment on CLOCK_MONOTONIC (ns)."""
        return monotonic_ns + self._offset_ns

    def refresh(self) -> None:
        """Measure the distance of the clocks again if a second has passed since the last time."""
        if self._clock.monotonic_ns() - self._measured_at >= _REFRESH_NS:
            self._measure()

    def _measure(self) -> None:
        # The reading with the tightest bracket: being scheduled away between two reads of a clock
        # would otherwise shift every stamp of the next second.
        best: int | None = None
        for _ in range(_TRIES):
            before = self._clock.monotonic_ns()
            epoch = self._clock.epoch_ns()
            after = self._clock.monotonic_ns()
            if best is None or after - before < best:
                best = after - before
                self._offset_ns = epoch - (before + after) // 2
                self._measured_at = after
