"""Memory of a scenario's own: control groups that have little, files that are not cached, swap space that is memory."""

from __future__ import annotations

import os
from pathlib import Path

from benchmarks.faultbench.stage import CGROUPS, Stage

MIB = 1 << 20
_ZRAM = Path("/sys/block/zram0")


def limited(stage: Stage, mib: int) -> Path:
    """A control group that may have so much memory."""
    old = (CGROUPS / "memory").is_dir()
    return stage.cgroup("memory", {"memory.limit_in_bytes" if old else "memory.max": str(mib * MIB)})


def cold_file(stage: Stage, mib: int) -> Path:
    """A file of which nothing is in memory, so that who reads it first is charged for it."""
    path = stage.folder / f"{stage.name()}.data"
    with path.open("wb") as file:
        for _ in range(mib):
            file.write(os.urandom(MIB))
        file.flush()
        os.fsync(file.fileno())
        os.posix_fadvise(file.fileno(), 0, 0, os.POSIX_FADV_DONTNEED)
    return path


def swap_space(stage: Stage, mib: int) -> None:
    """Swap space in compressed memory, which is gone at the end with all that was swapped."""
    (_ZRAM / "disksize").write_text(str(mib * MIB))
    stage.later(lambda: (_ZRAM / "reset").write_text("1"))
    stage.run("mkswap", "/dev/zram0")
    stage.run("swapon", "/dev/zram0", undo=("swapoff", "/dev/zram0"))
