"""Where calls are answered: a few at a time, each within its time, and no longer than somebody waits for it."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Callable
from contextlib import suppress
from typing import TypeVar

import anyio
from anyio import to_thread

from kernelsight.time_limit import Work

_AT_ONCE = 2
"""Calls that are answered at the same time; others wait their turn, whoever asks."""
TIME_LIMIT_S = 20.0
"""For one call, with the wait for its turn: assistants give up after 30 to 60 s."""

T = TypeVar("T")


class Answers:
    """Answers calls in threads. A place is taken until the thread has really ended, so that they cannot pile up."""

    def __init__(self, limit_s: float = TIME_LIMIT_S) -> None:
        self._limit_s = limit_s
        self._places = anyio.CapacityLimiter(_AT_ONCE)

    @property
    def busy(self) -> int:
        """Threads that work now."""
        return self._places.borrowed_tokens

    async def answer(self, function: Callable[[], T]) -> T:
        """What a function returns that may take long.

        When the time is over, or the caller is cancelled, SQLite is interrupted at once, and anything else at its next
        look into the store.

        Raises:
            OverTimeError: it took too long.
        """
        work = Work(self._limit_s)
        with anyio.move_on_after(self._limit_s):
            return await self._in_thread(function, work)
        raise work.error()

    async def _in_thread(self, function: Callable[[], T], work: Work) -> T:
        place, loop = object(), asyncio.get_running_loop()
        await self._places.acquire_on_behalf_of(place)
        begun = threading.Lock()  # who takes it gives the place back: the thread, or the caller where it never began

        def run() -> T:
            if not begun.acquire(blocking=False):
                raise work.error()
            try:
                with work.current():
                    told = function()
                work.require_time()  # what was cut short is no answer
                return told
            finally:
                with suppress(RuntimeError):  # the loop is closed, and all places with it
                    loop.call_soon_threadsafe(self._places.release_on_behalf_of, place)

        try:
            return await to_thread.run_sync(run, abandon_on_cancel=True)
        finally:
            work.stop()
            if begun.acquire(blocking=False):
                self._places.release_on_behalf_of(place)
