"""Work for others that ends in time: its reading from a store is interrupted when time is over or it is stopped."""

from __future__ import annotations

import time
from collections.abc import Iterator
from contextlib import contextmanager
from contextvars import ContextVar

from kernelsight.errors import KernelSightError


class OverTimeError(KernelSightError):
    """The work was ended: its time was over, or nobody waits for it any more."""


class Work:
    """One piece of work, of any thread, and how long it may take."""

    def __init__(self, limit_s: float) -> None:
        self.limit_s = limit_s
        self._ends_at = time.monotonic() + limit_s
        self._stopped = False

    def stop(self) -> None:
        """Nobody waits for it any more; from any thread."""
        self._stopped = True

    @property
    def is_over(self) -> bool:
        """Whether it is to end."""
        return self._stopped or time.monotonic() >= self._ends_at

    def require_time(self) -> None:
        """Go on only while there is time.

        Raises:
            OverTimeError: there is none.
        """
        if self.is_over:
            raise self.error()

    def error(self) -> OverTimeError:
        """What is said of it."""
        if time.monotonic() >= self._ends_at:
            return OverTimeError(f"no answer within {self.limit_s:g} s, the time limit; ask about a shorter time")
        return OverTimeError("nobody waits for the answer any more")

    @contextmanager
    def current(self) -> Iterator[None]:
        """While entered, what this thread reads from stores is part of this work."""
        token = _CURRENT.set(self)
        try:
            yield
        finally:
            _CURRENT.reset(token)


_CURRENT: ContextVar[Work | None] = ContextVar("work", default=None)


def current_work() -> Work | None:
    """The work that this thread does; None where nothing limits it."""
    return _CURRENT.get()
