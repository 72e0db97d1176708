"""The input: a file, pipe, socket or terminal, read as it comes."""

from __future__ import annotations

import array
import errno
import fcntl
import os
import select
import stat
import termios
from contextlib import suppress

READ_BYTES = 256 << 10
"""Read and decoded at once; more than this no longer fits the processor's cache and is slower."""

_PIPE_BYTES = 1 << 20

_LONGEST_WAIT_S = 86_400.0
"""poll(2) takes no more than 24 days; whoever waits longer asks again."""


class InputStream:
    """Reads a file descriptor without ever waiting longer than asked to."""

    def __init__(self, fd: int, wake_fd: int) -> None:
        self._fd = fd
        mode = os.fstat(fd).st_mode
        self._is_stream = stat.S_ISFIFO(mode) or stat.S_ISSOCK(mode)
        if stat.S_ISFIFO(mode):
            # A larger pipe lets a collector go on while a batch is committed; not everybody may have one.
            with suppress(OSError):
                fcntl.fcntl(fd, fcntl.F_SETPIPE_SZ, _PIPE_BYTES)
        self._wake = select.poll()
        self._wake.register(wake_fd, select.POLLIN)
        self._both = select.poll()
        self._both.register(wake_fd, select.POLLIN)
        self._both.register(fd, select.POLLIN)

    def wait(self, seconds: float | None) -> bool:
        """Wait for input, a signal, or the time to pass; whether there is input (or its end)."""
        return any(fd == self._fd for fd, _ in self._both.poll(_milliseconds(seconds)))

    def pause(self, seconds: float | None) -> None:
        """Wait for a signal or the time to pass, whatever comes in."""
        self._wake.poll(_milliseconds(seconds))

    def read(self, size: int = READ_BYTES) -> bytes | None:
        """What there is; empty at the end of the input, None when there is nothing yet.

        Raises:
            OSError: it can no longer be read.
        """
        try:
            return os.read(self._fd, size)
        except BlockingIOError:
            return None
        except OSError as error:
            if error.errno == errno.EIO:  # the terminal was hung up
                return b""
            raise

    def in_flight(self) -> int:
        """Bytes that a pipe or socket holds: already sent, so lost unless read. A file keeps its own."""
        if not self._is_stream:
            return 0
        held = array.array("i", [0])
        fcntl.ioctl(self._fd, termios.FIONREAD, held)
        return held[0]


def _milliseconds(seconds: float | None) -> float | None:
    return None if seconds is None else max(0.0, min(seconds, _LONGEST_WAIT_S) * 1e3)
