"""Signals, turned into something a poll loop can wait for."""

from __future__ import annotations

import os
import signal
import threading
from contextlib import suppress
from types import FrameType, TracebackType
from typing import Any, Self


class Interrupts:
    """While entered: SIGTERM and SIGINT ask to stop, SIGUSR1 asks for the status; :attr:`fd` becomes readable.

    Signals are the main thread's; in another thread nothing is installed.
    """

    def __init__(self) -> None:
        self.fd, self._write_end = os.pipe2(os.O_NONBLOCK | os.O_CLOEXEC)
        self.stops = 0
        """How often it was asked to stop."""
        self._status_wanted = False
        self._before: dict[int, Any] = {}
        self._wakeup_before = -1

    def __enter__(self) -> Self:
        if threading.current_thread() is threading.main_thread():
            self._wakeup_before = signal.set_wakeup_fd(self._write_end, warn_on_full_buffer=False)
            for number, handler in (
                (signal.SIGTERM, self._stop),
                (signal.SIGINT, self._stop),
                (signal.SIGUSR1, self._status),
            ):
                self._before[number] = signal.signal(number, handler)
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        for number, handler in self._before.items():
            signal.signal(number, handler)
        if self._before:
            signal.set_wakeup_fd(self._wakeup_before)
        os.close(self.fd)
        os.close(self._write_end)

    def _stop(self, _number: int, _frame: FrameType | None) -> None:
        self.stops += 1

    def _status(self, _number: int, _frame: FrameType | None) -> None:
        self._status_wanted = True

    def quiet(self) -> None:
        """Let :attr:`fd` wait for the next signal."""
        with suppress(BlockingIOError):
            while os.read(self.fd, 4096):
                pass

    def take_status_request(self) -> bool:
        """Whether the status was asked for since the last call."""
        wanted, self._status_wanted = self._status_wanted, False
        return wanted
