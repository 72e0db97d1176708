"""The way out: whole lines to a descriptor whose reader may be slow or gone."""

from __future__ import annotations

import os
import select
import threading

from kernelsight.errors import KernelSightError
from kernelsight.printable import json_escaped

# A write of at most PIPE_BUF bytes to a pipe is atomic, and does not block once poll(2) has said
# that the pipe is writable. So cutting at line ends below it keeps every line whole, also when the
# program is told to stop while its reader sleeps, or when several programs share the pipe.
_ATOMIC = select.PIPE_BUF
_SLICE_MS = 30


class ReaderGoneError(KernelSightError):
    """Nobody reads what is written any more."""


class LineWriter:
    """Writes whole lines to ``fd``, waiting for a slow reader until ``stop`` is set."""

    def __init__(self, fd: int, stop: threading.Event) -> None:
        self._fd = fd
        self._stop = stop
        self._poller = select.poll()
        self._poller.register(fd, select.POLLOUT)
        self._given_up = False
        self._terminal = os.isatty(fd)

    def write(self, lines: bytes) -> int:
        """Write lines, each with its newline.

        Returns:
            Bytes that were not written: more than 0 only when ``stop`` was set and the reader does not read.

        Raises:
            ReaderGoneError: the other end is closed.
            KernelSightError: the descriptor cannot be written, such as to a full disk.
        """
        if self._terminal:  # names of others command none
            lines = json_escaped(lines)
        view = memoryview(lines)
        at = 0
        while at < len(view):
            if not self._writable():
                return len(view) - at
            at += self._write(view[at : _cut(lines, at)])
        return 0

    def _writable(self) -> bool:
        """Wait for room; False when there is none and the program is to stop, and from then on."""
        while not self._given_up:
            stopping = self._stop.is_set()
            if self._poller.poll(_SLICE_MS):
                return True
            self._given_up = stopping
        return False

    def _write(self, piece: memoryview) -> int:
        try:
            return os.write(self._fd, piece)
        except BrokenPipeError as error:
            raise ReaderGoneError("the reader has closed the pipe") from error
        except BlockingIOError:
            return 0  # somebody else made it non-blocking; poll will say when there is room
        except OSError as error:
            raise KernelSightError(f"events cannot be written: {error.strerror}") from error


def _cut(lines: bytes, start: int) -> int:
    """Where an atomic write from ``start`` ends: after its last whole line, or within a line that is longer."""
    end = start + _ATOMIC
    if end >= len(lines):
        return len(lines)
    newline = lines.rfind(b"\n", start, end)
    return end if newline < 0 else newline + 1
