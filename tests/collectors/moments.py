"""The clocks of a collector under test: its stamps, and the monotonic clock that its schedules go by."""

from __future__ import annotations

NOW = 1_800_000_000_000_000_000
S = 1_000_000_000
_BOOT = 12_345 * S


class Moments:
    """A monotonic clock that is moved to where a stamp says; the wall clock may be set meanwhile."""

    def __init__(self) -> None:
        self._now = _BOOT
        self.step_ns = 0
        """How far the wall clock was set."""

    def __call__(self) -> int:
        return self._now

    def at(self, stamp_ns: int) -> int:
        """Go to the moment that an unset clock would stamp so; the stamp as the wall clock has it."""
        self._now = _BOOT + stamp_ns - NOW
        return stamp_ns + self.step_ns
