"""Being told to stop while asleep in poll(2)."""

from __future__ import annotations

import os
import threading


class StopDescriptor:
    """A descriptor that becomes readable when ``stop`` is set.

    After a signal, Python goes back to waiting in poll(2), and a thread that sets an event wakes
    nobody there. Looking every few milliseconds costs more CPU time than all of the collectors of
    /proc/meminfo and its like; a thread that waits for the event costs none.
    """

    def __init__(self, stop: threading.Event) -> None:
        self._stop = stop
        self._lock = threading.Lock()
        self._fd = os.eventfd(0, os.EFD_CLOEXEC | os.EFD_NONBLOCK)

    def watch(self) -> None:
        """Start the thread; until then the descriptor is never readable."""
        threading.Thread(target=self._watch, name="stop", daemon=True).start()

    def fileno(self) -> int:
        """The descriptor."""
        return self._fd

    def close(self) -> None:
        """Close the descriptor. The thread goes on waiting until ``stop`` is set or the program ends."""
        with self._lock:
            os.close(self._fd)
            self._fd = -1

    def _watch(self) -> None:
        self._stop.wait()
        with self._lock:
            if self._fd >= 0:
                os.eventfd_write(self._fd, 1)
