"""Finding the file that code was mapped from, and nothing else under its name.

A file is taken only where it has the build id, or else the device and inode, that were recorded. It is opened without
waiting, never through a link, and not at all where the file system belongs to another machine or to a program
(NFS, FUSE), which may never answer.
"""

from __future__ import annotations

import ctypes
import errno
import mmap
import os
import stat
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path
from typing import IO

from kernelsight.linux.mounts import Mount, parse_mounts
from kernelsight.linux.stacks import File
from kernelsight.profiles.elf import Elf, UnreadableError

DEBUG_FILES = Path("/usr/lib/debug/.build-id")
_FLAGS = os.O_RDONLY | os.O_NONBLOCK | os.O_CLOEXEC | os.O_NOCTTY
_FOLDER = os.O_PATH | os.O_DIRECTORY | os.O_CLOEXEC
_LARGEST = 4 << 30
_ELSEWHERE = ("nfs", "cifs", "smb", "ceph", "9p", "afs", "fuse", "gluster", "lustre", "autofs", "virtiofs")
"""What types of file systems begin with that may not answer; `fuseblk` is among them."""


class Binary:
    """A file that is open, and what is known of its functions."""

    def __init__(self, file: IO[bytes]) -> None:
        self._file = file
        self.elf = Elf(file)

    def close(self) -> None:
        """Close it."""
        self._file.close()


def opened(file: File, pid: int | None, proc: Path = Path("/proc")) -> Binary | str:
    """The file that code of a process was mapped from, or why it cannot be had.

    Args:
        file: what was recorded of it.
        pid: a process that had it mapped: its path is looked for in the process's root, too, if that still runs.
        proc: where processes are.
    """
    if not file.path.startswith("/"):
        return "its path is not known" if not file.path else "it is no file"
    reason = ""
    path = file.path.removesuffix(" (deleted)")
    for root in _roots(path, pid, proc):
        try:
            binary = _read(_descriptor(root, path))
        except (OSError, UnreadableError) as error:
            reason = reason or (error.strerror if isinstance(error, OSError) and error.strerror else str(error))
            continue
        if isinstance(binary, str):
            reason = reason or binary
        elif _is_it(file, binary):
            return binary
        else:
            binary.close()
            reason = "another file has its name now"
    return reason or "it is not there"


def debug_file(build_id: str) -> Binary | None:
    """The file with the symbols of a stripped one, where its package is installed."""
    if len(build_id) < 8 or not all(digit in "0123456789abcdef" for digit in build_id):
        return None
    with suppress(OSError, UnreadableError):
        # A link of its package, in some distributions: root alone lays what is there.
        binary = _read(os.open(DEBUG_FILES / build_id[:2] / f"{build_id[2:]}.debug", _FLAGS))
        if isinstance(binary, Binary):
            if binary.elf.build_id == build_id:
                return binary
            binary.close()
    return None


def _roots(path: str, pid: int | None, proc: Path) -> Iterator[Path]:
    """The roots from which a path is looked for."""
    if not _may_hang(proc / "self/mountinfo", path):
        yield Path("/")
    if pid is not None and not _may_hang(proc / str(pid) / "mountinfo", path):
        yield proc / str(pid) / "root"


def _descriptor(root: Path, path: str) -> int:
    """Open a file by a path that the kernel told: without links, so that one on the way was laid since.

    It would lead out of a container, or to a file system that does not answer.

    Raises:
        OSError: it is not there, or there is a link on the way.
    """
    parts = [part for part in path.split("/") if part]
    if not parts or ".." in parts:
        raise OSError(errno.EINVAL, "its path is none of a file")
    *folders, name = parts
    folder = os.open(root, _FOLDER)
    try:
        for part in folders:
            above, folder = folder, os.open(part, _FOLDER | os.O_NOFOLLOW, dir_fd=folder)
            os.close(above)
        return os.open(name, _FLAGS | os.O_NOFOLLOW, dir_fd=folder)
    finally:
        os.close(folder)


def _may_hang(mountinfo: Path, path: str) -> bool:
    """Whether a path is of a file system that another machine or a program serves, or that is not known."""
    try:
        mounts = parse_mounts(mountinfo.read_bytes().splitlines())
    except OSError:
        return True
    under = os.fsencode(path)
    over: Mount | None = None
    for mount in mounts:
        point = mount.point.rstrip(b"/")
        if under.startswith(point + b"/") and (over is None or len(point) >= len(over.point.rstrip(b"/"))):
            over = mount
    return over is None or over.fs_type.startswith(_ELSEWHERE)


def _read(descriptor: int) -> Binary | str:
    file = os.fdopen(descriptor, "rb")
    try:
        status = os.fstat(descriptor)
        if not stat.S_ISREG(status.st_mode) or status.st_size > _LARGEST:
            file.close()
            return "it is no regular file"
        return Binary(file)
    except BaseException:
        file.close()
        raise


def _is_it(file: File, binary: Binary) -> bool:
    if file.build_id:
        return binary.elf.build_id == file.build_id
    return bool(file.inode) and file.inode == _place(binary._file)  # noqa: SLF001 - its own


def _place(file: IO[bytes]) -> str:
    """Device and inode of a file, such as `fd:00 1234`, as the kernel says them of what is mapped; empty: of none.

    With overlayfs and btrfs, fstat(2) says another device than /proc/PID/maps.
    """
    try:
        with mmap.mmap(file.fileno(), 1, access=mmap.ACCESS_COPY) as mapped:
            byte = ctypes.c_char.from_buffer(mapped)
            address = ctypes.addressof(byte)
            del byte
            for line in Path("/proc/self/maps").read_bytes().splitlines():
                place, _, _, device, inode, *_ = line.split()
                if int(place.partition(b"-")[0], 16) == address:
                    return f"{device.decode()} {inode.decode()}"
    except (OSError, ValueError):  # it is empty, or cannot be mapped
        pass
    return ""
