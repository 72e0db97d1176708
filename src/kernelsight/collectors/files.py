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


def read_whole(fd: int, size: int) -> bytes:
    """Read an open file of one record from its start to its end.

    Args:
        fd: its descriptor.
        size: bytes of the first read, which mostly is enough.

    Raises:
        OSError: the kernel refused.
    """
    data = os.pread(fd, size, 0)
    # A full buffer means that there is more: read the whole file again at once, so that it is of one moment.
    while len(data) == size and size < _LARGEST:
        size *= 2
        data = os.pread(fd, size, 0)
    # A FUSE daemon (lxcfs) may give less than there is.
    return data if not data or data.endswith(b"\n") else _rest(fd, data, size)


def _rest(fd: int, data: bytes, size: int) -> bytes:
    chunks = [data]
    at = len(data)
    while chunks[-1] and at < _LARGEST:
        chunks.append(os.pread(fd, size, at))
        at += len(chunks[-1])
    return b"".join(chunks)


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
        if self._records:
            return _rest(self._fd, os.pread(self._fd, self._size, 0), self._size)
        data = read_whole(self._fd, self._size)
        self._size = max(self._size, 1 << len(data).bit_length())
        return data

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


def read_once(path: Path | str) -> bytes | None:
    """Read a small file that may not be there or may have nothing to say; None when so."""
    try:
        fd = os.open(path, os.O_RDONLY | os.O_CLOEXEC)
    except OSError:
        return None
    try:
        return _rest(fd, os.pread(fd, _PAGE, 0), _PAGE)
    except OSError:
        return None
    finally:
        os.close(fd)


def comm_of(proc: Path, pid: int) -> str | None:
    """The name of a process; None when it has ended, or lives where we cannot see it."""
    comm = read_once(proc / str(pid) / "comm")
    return None if comm is None else name(comm.removesuffix(b"\n"))
