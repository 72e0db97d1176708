"""Landlock: a process gives up, for itself and its children, what it will not need of files and of the network.

See landlock(7) and Documentation/userspace-api/landlock.rst. Kernels before 5.13, and those that were booted
without it, have none; then nothing is restricted.
"""

from __future__ import annotations

import ctypes
import os
import re
from collections.abc import Sequence
from pathlib import Path
from typing import Final

from kernelsight.errors import KernelSightError

# include/uapi/linux/landlock.h; the numbers of the calls are the same on all architectures.
_CREATE_RULESET, _ADD_RULE, _RESTRICT_SELF = 444, 445, 446
_VERSION: Final = 1
_PATH_BENEATH: Final = 1
_BIND_TCP, _CONNECT_TCP = 1, 2
_EXECUTE, _WRITE_FILE = 1 << 0, 1 << 1
_REMOVE_DIR, _REMOVE_FILE = 1 << 4, 1 << 5
_MAKE = sum(1 << bit for bit in range(6, 13))
"""Make a character device, a directory, a file, a socket, a FIFO, a block device, a link."""
_REFER, _TRUNCATE = 1 << 13, 1 << 14
_REFER_SINCE, _TRUNCATE_SINCE, _NETWORK_SINCE = 2, 3, 4
_LOADER = re.compile(r"ld[-0-9][\w.-]*\.so(\.\d+)?", re.ASCII)
"""Of glibc or musl: ld-linux-x86-64.so.2, ld-2.31.so, ld64.so.2, ld-musl-x86_64.so.1."""


class _Ruleset(ctypes.Structure):
    _fields_ = (("files", ctypes.c_uint64), ("network", ctypes.c_uint64))


class _Beneath(ctypes.Structure):
    _pack_ = 1
    _layout_ = "ms"
    _fields_ = (("allowed", ctypes.c_uint64), ("parent", ctypes.c_int32))


def version() -> int:
    """The version of Landlock that the kernel speaks; 0: none."""
    number: int = _libc().syscall(_CREATE_RULESET, None, ctypes.c_size_t(0), ctypes.c_uint32(_VERSION))
    return max(number, 0)


def own_program() -> list[Path]:
    """The files that the kernel executes to start this Python again: the interpreter, and the loader of its libraries.

    A file that this user cannot reach is left out: it cannot start it either.
    """
    try:
        program = Path("/proc/self/exe").readlink()
        mapped = Path("/proc/self/maps").read_text(encoding="utf-8", errors="surrogateescape").splitlines()
    except OSError:  # /proc is not mounted, or does not show a process itself
        return []
    paths = {Path(fields[5]) for line in mapped if len(fields := line.split(maxsplit=5)) == 6}
    loaders = sorted(path for path in paths if _LOADER.fullmatch(path.name))
    return [path for path in (program, *loaders) if os.access(path, os.X_OK)]


def restrict(writable: Sequence[Path], programs: Sequence[Path] = ()) -> bool:
    """Give up writing elsewhere than below some directories, starting programs, and TCP.

    What is open already stays so. `no_new_privs` must have been set (prctl(2)).

    Args:
        writable: directories below which everything may be done but starting programs.
        programs: files that may be executed all the same; what they start is restricted alike.

    Returns:
        False where the kernel has no Landlock.

    Raises:
        KernelSightError: it has, and refuses.
    """
    abi = version()
    if not abi:
        return False
    files = _EXECUTE | _WRITE_FILE | _REMOVE_DIR | _REMOVE_FILE | _MAKE
    files |= (_REFER if abi >= _REFER_SINCE else 0) | (_TRUNCATE if abi >= _TRUNCATE_SINCE else 0)
    ruleset = _Ruleset(files, 0 if abi < _NETWORK_SINCE else _BIND_TCP | _CONNECT_TCP)
    size = ctypes.sizeof(ruleset) if abi >= _NETWORK_SINCE else ctypes.sizeof(ctypes.c_uint64)
    fd = _checked(_libc().syscall(_CREATE_RULESET, ctypes.byref(ruleset), ctypes.c_size_t(size), ctypes.c_uint32(0)))
    try:
        for directory in writable:
            _allow(fd, directory, files & ~_EXECUTE)
        for program in programs:
            _allow(fd, program, _EXECUTE)
        _checked(_libc().syscall(_RESTRICT_SELF, ctypes.c_int(fd), ctypes.c_uint32(0)))
    finally:
        os.close(fd)
    return True


def _allow(ruleset: int, beneath: Path, allowed: int) -> None:
    parent = os.open(beneath, os.O_PATH | os.O_CLOEXEC)
    try:
        rule = _Beneath(allowed, parent)
        _checked(
            _libc().syscall(
                _ADD_RULE, ctypes.c_int(ruleset), ctypes.c_int(_PATH_BENEATH), ctypes.byref(rule), ctypes.c_uint32(0)
            )
        )
    finally:
        os.close(parent)


def _checked(result: int) -> int:
    if result < 0:
        raise KernelSightError(f"Landlock refuses: {os.strerror(ctypes.get_errno())}; is there a seccomp filter?")
    return result


def _libc() -> ctypes.CDLL:
    return ctypes.CDLL(None, use_errno=True)
