"""Losses that the store could not be told: a small file beside the database, until its next writer books them.

What is dropped while nothing can be written, and what waits in memory then, would be in no account if the daemon
ended. The file has its size from the beginning, so that a full disk does not keep it from being written.
"""

from __future__ import annotations

import errno
import os
import zlib
from collections.abc import Mapping
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

import msgspec

from kernelsight.trusted_paths import UntrustedPathError, open_directory, open_file

_BYTES = 16 << 10
_SLOTS = 2
"""Written in turn: a machine that stops in the middle of one leaves the other."""


@dataclass(frozen=True, slots=True)
class Loss:
    """What is to be added to the account of one kind, as it stood when this was written."""

    lines_before: int
    """Lines in the account then: where there are others by now, the store knows more than this."""
    rejected: int
    dropped: int


class _Record(msgspec.Struct):
    number: int
    losses: dict[str, Loss]


class Losses:
    """The file of one database, as its writer holds it."""

    def __init__(self, database: Path) -> None:
        self.path = database.with_name(f"{database.name}.losses")
        self._fd = -1
        self._number = 0
        self._is_empty = True

    def take(self) -> Mapping[str, Loss]:
        """What an earlier writer left; none where the file is missing or damaged."""
        try:
            with os.fdopen(self._opened(os.O_RDONLY), "rb") as file:
                data = file.read(_BYTES)
        except (OSError, UntrustedPathError):
            return {}
        size = _BYTES // _SLOTS
        records = filter(None, (_decoded(data[start : start + size]) for start in range(0, _BYTES, size)))
        last = max(records, key=lambda record: record.number, default=None)
        if last is None:
            return {}
        self._number, self._is_empty = last.number, not last.losses
        return last.losses

    def _open(self) -> None:
        """Have a file of full size."""
        if self._fd >= 0:
            return
        try:
            self._fd = self._opened(os.O_RDWR | os.O_CREAT)
        except UntrustedPathError as error:
            raise OSError(errno.EPERM, str(error)) from error
        os.posix_fallocate(self._fd, 0, _BYTES)

    def _opened(self, flags: int) -> int:
        directory = open_directory(self.path.parent)
        try:
            return open_file(directory, self.path.name, self.path, flags)
        finally:
            os.close(directory)

    def write(self, losses: Mapping[str, Loss]) -> None:
        """Replace what the file says; it survives a crash of the machine when this returns.

        Raises:
            OSError: it cannot be written.
        """
        self._open()
        if self._is_empty and not losses:
            return
        self._number += 1
        size = _BYTES // _SLOTS
        text = msgspec.json.encode(_Record(self._number, dict(losses)))
        block = (b"%08x %s\n" % (zlib.crc32(text), text)).ljust(size, b"\0")
        if len(block) > size:
            raise OSError(f"{self.path}: {len(block)} bytes of losses; it holds {size}")
        os.pwrite(self._fd, block, (self._number % _SLOTS) * size)
        os.fdatasync(self._fd)
        self._is_empty = not losses

    def close(self) -> None:
        """Close it; a file that says nothing is removed."""
        if self._fd < 0:
            return
        os.close(self._fd)
        self._fd = -1
        if self._is_empty:
            with suppress(OSError):
                self.path.unlink()


def _decoded(block: bytes) -> _Record | None:
    checksum, _, text = block.rstrip(b"\0").rstrip(b"\n").partition(b" ")
    if not text or checksum != b"%08x" % zlib.crc32(text):
        return None
    with suppress(msgspec.MsgspecError):
        return msgspec.json.decode(text, type=_Record)
    return None
