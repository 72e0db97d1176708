"""The signal that a process gets when its parent dies (prctl(2), PR_SET_PDEATHSIG), over changes of its user.

The kernel forgets the signal, and makes the process's own /proc unreadable to it, whenever the effective user changes.
"""

from __future__ import annotations

import os
import signal
from collections.abc import Iterator
from contextlib import contextmanager

_PR_SET_PDEATHSIG, _PR_GET_PDEATHSIG, _PR_SET_DUMPABLE = 1, 2, 4


def follow(parent: int, number: int) -> None:
    """Ask for a signal when the parent dies; where it has died already, end.

    Args:
        parent: the pid of the parent.
        number: the signal; 0: none.

    Raises:
        OSError: the kernel refuses.
    """
    _prctl(_PR_SET_PDEATHSIG, number)
    if os.getppid() != parent:  # it may have died before the call above
        if number:
            os.kill(os.getpid(), number)
        raise SystemExit(128 + signal.SIGTERM)


@contextmanager
def kept(*, for_good: bool = False) -> Iterator[None]:
    """Around a change of the user: the signal is as it was afterwards.

    Args:
        for_good: the process stays the other user. That user's programs may then not trace it, nor read its
            environment and memory, which have what root had in them (API keys, a terminal): the process does not
            become dumpable again (PR_SET_DUMPABLE in prctl(2)). Otherwise it is again, for its own /proc.
    """
    import ctypes  # noqa: PLC0415 - for root alone, and slow to load

    number, parent = ctypes.c_int(0), os.getppid()
    _prctl(_PR_GET_PDEATHSIG, ctypes.byref(number))
    try:
        yield
    finally:
        if not for_good:
            _prctl(_PR_SET_DUMPABLE, 1)
        if number.value:
            follow(parent, number.value)


def _prctl(operation: int, argument: object) -> None:
    import ctypes  # noqa: PLC0415 - as above

    libc = ctypes.CDLL(None, use_errno=True)
    value = ctypes.c_ulong(argument) if isinstance(argument, int) else argument
    zero = ctypes.c_ulong(0)
    if libc.prctl(operation, value, zero, zero, zero) < 0:
        errno = ctypes.get_errno()
        raise OSError(errno, os.strerror(errno))
