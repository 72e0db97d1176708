"""I/O priorities of threads: ioprio_set(2), which Python does not have. A priority is class << 13 | level."""

from __future__ import annotations

import ctypes
import os
import platform
from functools import cache

from kernelsight.agent.acting.subject import RefusedError

_IOPRIO = {"x86_64": (251, 252), "aarch64": (30, 31)}
"""Numbers of ioprio_set and ioprio_get by machine (include/uapi/asm-generic/unistd.h, syscall_64.tbl)."""
_WHO_PROCESS = 1  # IOPRIO_WHO_PROCESS, linux/ioprio.h
IO_CLASS_SHIFT = 13
IO_NONE, IO_REALTIME, IO_BEST_EFFORT, IO_IDLE = range(4)


@cache
def _libc() -> ctypes.CDLL:
    return ctypes.CDLL(None, use_errno=True)


def io_priority(tid: int) -> int:
    """Class << 13 | level of a thread."""
    return _ioprio(1, _WHO_PROCESS, tid)


def set_io_priority(tid: int, value: int) -> None:
    """Set class << 13 | level of a thread."""
    _ioprio(0, _WHO_PROCESS, tid, value)


def _ioprio(which: int, *arguments: int) -> int:
    numbers = _IOPRIO.get(platform.machine())
    if numbers is None:
        raise RefusedError(f"I/O priorities cannot be set on {platform.machine()} yet")
    result: int = _libc().syscall(numbers[which], *arguments)
    if result < 0:
        number = ctypes.get_errno()
        raise OSError(number, os.strerror(number))
    return result


def priority_name(value: int) -> str:
    """An I/O priority, for a person."""
    kind = ("none", "realtime", "best-effort", "idle")[value >> IO_CLASS_SHIFT & 3]
    return kind if kind in {"none", "idle"} else f"{kind} {value & 7}"
