"""Memory of this process."""

from __future__ import annotations

import ctypes
from contextlib import suppress


def give_back() -> None:
    """Give freed memory back to the kernel, where the C library can (malloc_trim(3) of glibc).

    A look at many rows leaves holes in the heap, which the next look, a minute later, does not need meanwhile.
    """
    with suppress(AttributeError):
        ctypes.CDLL(None).malloc_trim(0)
