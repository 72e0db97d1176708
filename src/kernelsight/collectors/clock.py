"""Time: the monotonic clock that paces the grid, what it reads on the Unix epoch, and when one of the two jumps."""

from __future__ import annotations

import select
import time
from dataclasses import dataclass
from typing import Protocol

from kernelsight.events.clock import ClockStep

NS_PER_S = 1_000_000_000
_REFRESH_NS = NS_PER_S // 2
_TRIES = 3
LEAST_STEP_NS = NS_PER_S // 2
"""The clock was set if it moved by so much at once: NTP slews by 0.5 ms a second at most, and steps from 128 ms on."""
_FASTEST_SLEW = 1000
"""Of the time between two measurements, one part in so many may be slewing."""


class Clock(Protocol):
    """Reads the clocks and waits; passed in, so that tests need not wait."""

    def monotonic_ns(self) -> int:
        """CLOCK_MONOTONIC."""

    def epoch_ns(self) -> int:
        """CLOCK_REALTIME."""

    def boot_ns(self) -> int:
        """CLOCK_BOOTTIME: CLOCK_MONOTONIC and the time for which the machine was suspended."""

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

    def boot_ns(self) -> int:
        """CLOCK_BOOTTIME."""
        return time.clock_gettime_ns(time.CLOCK_BOOTTIME)

    def wait(self, poller: select.poll, timeout_ns: int) -> list[int]:
        """Wait in poll(2); it counts in milliseconds and wakes up to one late, never early."""
        return [fd for fd, _ in poller.poll(timeout_ns / 1e6)]


@dataclass(frozen=True, slots=True)
class Jump:
    """The clocks moved apart between two measurements: the wall clock was set, or the machine was suspended."""

    monotonic_ns: int
    """When this was noticed, on CLOCK_MONOTONIC."""
    epoch_ns: int
    """The same moment on the wall clock: stamps follow it from here on."""
    step_ns: int
    """How far the wall clock was set, back where negative."""
    suspended_ns: int
    """How long CLOCK_MONOTONIC stood still."""

    def event(self) -> ClockStep:
        """As it is told."""
        return ClockStep(
            self.epoch_ns,
            step_ns=self.step_ns,
            suspended_ns=self.suspended_ns,
            before_ns=self.epoch_ns - self.step_ns,
            monotonic_ns=self.monotonic_ns,
        )


class EpochTime:
    """Turns monotonic stamps into stamps on the epoch.

    The distance of the two clocks changes when somebody sets the clock, when NTP slews it, and by
    the length of every suspend (which CLOCK_MONOTONIC does not count), so it is measured anew before
    every grid point, and what is no slewing is kept as a jump. CLOCK_BOOTTIME tells the two apart.
    """

    def __init__(self, clock: Clock) -> None:
        self._clock = clock
        self._jumps: list[Jump] = []
        self._offset_ns, self._asleep_ns, self._measured_at = self._measure()

    def at(self, monotonic_ns: int) -> int:
        """The epoch time (ns) of a moment on CLOCK_MONOTONIC (ns)."""
        return monotonic_ns + self._offset_ns

    def refresh(self) -> None:
        """Measure the distance of the clocks again, if that was not done just now."""
        if self._clock.monotonic_ns() - self._measured_at < _REFRESH_NS:
            return
        offset_before, asleep_before, before = self._offset_ns, self._asleep_ns, self._measured_at
        self._offset_ns, self._asleep_ns, at = self._measure()
        self._measured_at = at
        suspended_ns = self._asleep_ns - asleep_before
        step_ns = self._offset_ns - offset_before - suspended_ns
        least_ns = max(LEAST_STEP_NS, (at - before) // _FASTEST_SLEW)
        if abs(step_ns) >= least_ns or suspended_ns >= least_ns:
            self._jumps.append(Jump(at, self.at(at), step_ns, suspended_ns))

    def take_jumps(self) -> list[Jump]:
        """The jumps since this was asked last."""
        jumps, self._jumps = self._jumps, []
        return jumps

    def _measure(self) -> tuple[int, int, int]:
        """The wall clock's and CLOCK_BOOTTIME's lead over CLOCK_MONOTONIC, and when they were measured."""
        # The reading with the tightest bracket: being scheduled away between two reads of a clock
        # would otherwise shift every stamp of the next second.
        return min((self._read() for _ in range(_TRIES)), key=lambda reading: reading[0])[1:]

    def _read(self) -> tuple[int, int, int, int]:
        before = self._clock.monotonic_ns()
        epoch, boot = self._clock.epoch_ns(), self._clock.boot_ns()
        after = self._clock.monotonic_ns()
        middle = (before + after) // 2
        return after - before, epoch - middle, boot - middle, after
