"""What the time is, for what cannot be taken back: a clock that was just set is not believed yet."""

from __future__ import annotations

import time
from collections.abc import Callable

_NS_PER_S = 1_000_000_000
_STEP_NS = 60 * _NS_PER_S
_SETTLED_NS = 3600 * _NS_PER_S


def _boot_ns() -> int:
    """CLOCK_BOOTTIME, so that a suspend is no step."""
    return time.clock_gettime_ns(time.CLOCK_BOOTTIME)


class SettledClock:
    """The wall clock as it goes on from where it was, until a step of it has lasted for an hour.

    A clock that is set ahead by mistake, and back again, makes nothing old that is not.
    """

    def __init__(
        self, wall: Callable[[], int], steady: Callable[[], int] = _boot_ns, last_known_ns: int | None = None
    ) -> None:
        """Believe the wall clock as it is now, where it goes on from the last time that is known.

        Args:
            wall: nanoseconds since the epoch.
            steady: nanoseconds of a clock that nobody sets.
            last_known_ns: what time it was when somebody last wrote down what has happened; a wall clock that is
                further ahead may have been set while nobody looked, and is believed in an hour. None: not known.
        """
        self._wall = wall
        self._steady = steady
        self._lead_ns = self._new_lead_ns = wall() - steady()
        if last_known_ns is not None:
            self._lead_ns = min(self._lead_ns, last_known_ns - steady())
        self._new_since_ns = steady()

    def now_ns(self) -> int:
        """Nanoseconds since the epoch."""
        steady_ns = self._steady()
        lead_ns = self._wall() - steady_ns
        if abs(lead_ns - self._new_lead_ns) > _STEP_NS:
            self._new_since_ns = steady_ns
            self._new_lead_ns = lead_ns
        if abs(lead_ns - self._lead_ns) <= _STEP_NS or steady_ns - self._new_since_ns >= _SETTLED_NS:
            self._lead_ns = self._new_lead_ns = lead_ns
        return steady_ns + self._lead_ns
