"""Kernel files: opened once, read again and again from offset 0."""

from __future__ import annotations

import errno
import os
from pathlib import Path
from typing import Self

from kernelsight.collectors.text import name
from kernelsight.errors import SourceUnavailableError

_PAGE = 4096
_LARGEST = 64 * 1024 * 1024


def unavailable(
    path: Path | str, error: OSError, *, absent: str = "this kernel does not have it"
) -> SourceUnavailableError:
    """Say why a kernel file cannot be had, and what to do.

    Args:
        path: the file.
        error: what the system call said.
        absent: what it means here that the file is not there.
    """
    if error.errno in (errno.EACCES, errno.EPERM):
        return SourceUnavailableError(f"{path} is not readable for this user: run as root")
    if error.errno in (errno.ENOENT, errno.ENOTDIR):
        return SourceUnavailableError(f"no {path}: {absent}")
    if error.errno in (errno.EMFILE, errno.ENFILE):
        return SourceUnavailableError(f"{path}: {error.strerror}; raise the limit (ulimit -n)")
    return SourceUnavailableError(f"{path}: {error.strerror}: {absent}")


class KernelFile:
    """One file of procfs or sysfs, kept open.

    The kernel gives a file made of one record (``single_open``: meminfo, stat, snmp, all of sysfs)
    whole in one read, when the buffer is large enough; and a file made of many records (``seq_file``:
    vmstat, net/dev, net/tcp, mountinfo) about a page at a time.

    Raises:
        SourceUnavailableError: it cannot be opened.
    """

    __slots__ = ("_fd", "_records", "_size", "path")

    def __init__(
        self, path: Path, *, records: bool = False, size: int = _PAGE, absent: str = "this kernel does not have it"
    ) -> None:
        """Open it.

        Args:
            path: the file.
            records: it is made of many records and takes several reads.
            size: bytes of the first read; grows by itself when it was too small.
            absent: what it means when the file is not there, and what to do, for the message.
        """
        self.path = path
        self._records = records
        self._size = size
        self._fd = -1
        try:
            self._fd = os.open(path, os.O_RDONLY | os.O_CLOEXEC)
        except OSError as error:
            raise unavailable(path, error, absent=absent) from error

    def read(self) -> bytes:
        """Read all of it, from the start.

        Raises:
            OSError: the kernel refused, such as ENODEV when the device has gone.
        """
        data = os.pread(self._fd, self._size, 0)
        if self._records:
            return self._rest(data)
        # A full buffer says that there is more: read all of it at once, so that it is of one moment.
        while len(data) == self._size and self._size < _LARGEST:
            self._size *= 2
            data = os.pread(self._fd, self._size, 0)
        return data

    def _rest(self, data: bytes) -> bytes:
        chunks = [data]
        at = len(data)
        while chunks[-1]:
            chunks.append(os.pread(self._fd, self._size, at))
            at += len(chunks[-1])
        return b"".join(chunks)

    def fileno(self) -> int:
        """Its descriptor, for poll(2)."""
        return self._fd

    def close(self) -> None:
        """Close it; calling it again does nothing."""
        if self._fd >= 0:
            os.close(self._fd)
            self._fd = -1

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()


def read_once(path: Path) -> bytes | None:
    """Read a small file that may not be there or may have nothing to say; None when so."""
    try:
        with path.open("rb", buffering=0) as file:
            return file.read()
    except OSError:
        return None


def comm_of(proc: Path, pid: int) -> str | None:
    """The name of a process; None when it has ended, or lives where we cannot see it."""
    comm = read_once(proc / str(pid) / "comm")
    return None if comm is None else name(comm.removesuffix(b"\n"))
