"""Finding the file that code was mapped from, and nothing else under its name.

A file is taken only where it has the build id, or else the device and inode, that were recorded. It is opened without
waiting, never through a last link, and not at all where the file system belongs to another machine or to a program
(NFS, FUSE), which may never answer.
"""

from __future__ import annotations

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
_FLAGS = os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC | os.O_NOCTTY
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
    for place in _places(file.path, pid, proc):
        try:
            binary = _opened(place)
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
        binary = _opened(DEBUG_FILES / build_id[:2] / f"{build_id[2:]}.debug")
        if isinstance(binary, Binary):
            if binary.elf.build_id == build_id:
                return binary
            binary.close()
    return None


def _places(path: str, pid: int | None, proc: Path) -> Iterator[Path]:
    plain = path.removesuffix(" (deleted)")
    if not _may_hang(proc / "self/mountinfo", plain):
        yield Path(plain)
    if pid is not None and not _may_hang(proc / str(pid) / "mountinfo", plain):
        yield proc / str(pid) / "root" / plain.lstrip("/")


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


def _opened(path: Path) -> Binary | str:
    descriptor = os.open(path, _FLAGS)
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
    status = os.fstat(binary._file.fileno())  # noqa: SLF001 - its own
    return bool(file.inode) and file.inode.rpartition(" ")[2] == str(status.st_ino)
