"""Managed runtimes, as far as the names that they give their threads tell what these do."""

from __future__ import annotations

import re
from functools import lru_cache

_COLLECTORS = (
    rb"GC Thread#",  # HotSpot: G1 and Parallel (src/hotspot/share/gc/shared/workerThread.cpp)
    rb"G1 (Main Marker|Conc#|Refine#|Service)",
    rb"VM Thread",  # HotSpot: the Serial collector, and full collections of others
    rb"[XZ](Worker|Driver|Director)",  # HotSpot: ZGC
    rb"Shenandoah",
    rb"GC (Slave|Worker|task)",  # OpenJ9, older HotSpot
    rb"\.NET (Server GC|BGC|GC)",  # CoreCLR (src/coreclr/gc/gcenv.ee.cpp)
    rb"SGen worker",  # Mono
)
_COLLECTS = re.compile(b"|".join(_COLLECTORS))


@lru_cache(maxsize=4096)
def collects_garbage(thread: bytes) -> bool:
    """Whether a thread collects garbage, by its name.

    Args:
        thread: the 16 bytes that the kernel has of it.
    """
    return _COLLECTS.match(thread) is not None
