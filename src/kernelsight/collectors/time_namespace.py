"""Time namespaces (time_namespaces(7)): a process may see other monotonic clocks than the kernel's programs do."""

from __future__ import annotations

import time
from contextlib import suppress
from functools import cache
from pathlib import Path
from typing import NamedTuple

_NS_PER_S = 1_000_000_000


class Offsets(NamedTuple):
    """How far the clocks of a time namespace are ahead of the machine's (ns)."""

    monotonic_ns: int = 0
    boot_ns: int = 0


def parse_offsets(text: str) -> Offsets:
    """Parse /proc/PID/timens_offsets: lines such as ``monotonic 86400 0``, a clock, seconds and nanoseconds."""
    rows = [line.split() for line in text.splitlines()]
    clocks = {row[0]: int(row[1]) * _NS_PER_S + int(row[2]) for row in rows}
    return Offsets(clocks.get("monotonic", 0), clocks.get("boottime", 0))


def read_offsets(proc: Path) -> Offsets:
    """The offsets of the time namespace that this process is in; none where the kernel has no such namespaces.

    The file is about the namespace of the children. Where that is another one, this process asked for it itself
    (unshare(2)) and is still in the one before, which is taken for the machine's.
    """
    with suppress(OSError):
        ours, childrens = ((proc / "self/ns" / name).readlink() for name in ("time", "time_for_children"))
        if ours == childrens:
            return parse_offsets((proc / "self/timens_offsets").read_text())
    return Offsets()


@cache
def offsets() -> Offsets:
    """Those of this process, read once: a process that has threads cannot change them."""
    return read_offsets(Path("/proc"))


def kernel_monotonic_ns() -> int:
    """What ``bpf_ktime_get_ns`` reads now."""
    return time.monotonic_ns() - offsets().monotonic_ns
