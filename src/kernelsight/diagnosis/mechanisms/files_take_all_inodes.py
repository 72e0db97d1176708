"""A file system that has space left, and no inodes for new files, or will not have soon."""

from __future__ import annotations

from collections.abc import Iterable

from kernelsight.diagnosis.exhaustible import INODES
from kernelsight.diagnosis.faults.inode_exhaustion import INODE_EXHAUSTION
from kernelsight.diagnosis.mechanism import Mechanism
from kernelsight.diagnosis.mount_use import MOUNT_CHECKS, ON_ITS_WAY, MountUse, explanation, mount_uses
from kernelsight.diagnosis.window import Window


def measure(window: Window) -> Iterable[MountUse]:
    """Each file system whose inodes are used up, or will be soon."""
    return mount_uses(window, INODES)


MECHANISM = Mechanism[MountUse](
    fault=INODE_EXHAUSTION,
    summary="Many small files take all the inodes of a file system. A call that makes one more fails with ENOSPC, "
    "though there is space.",
    measure=measure,
    prior=ON_ITS_WAY,
    checks=MOUNT_CHECKS,
    explain=explanation,
)
