"""A file system that has no space left for files, or will not have soon."""

from __future__ import annotations

from collections.abc import Sequence

from kernelsight.diagnosis.exhaustible import SPACE
from kernelsight.diagnosis.faults.disk_full import DISK_FULL
from kernelsight.diagnosis.mechanism import Mechanism
from kernelsight.diagnosis.mount_use import MOUNT_CHECKS, ON_ITS_WAY, MountUse, explanation, mount_uses
from kernelsight.diagnosis.window import Window


def measure(window: Window) -> Sequence[MountUse]:
    """Each file system whose space is used up, or will be soon."""
    return window.once(space_uses)


def space_uses(window: Window) -> Sequence[MountUse]:
    """The same. Use with :meth:`Window.once`."""
    return [*mount_uses(window, SPACE)]


MECHANISM = Mechanism[MountUse](
    fault=DISK_FULL,
    summary="Files take all the space of a file system. Calls that write to it fail with ENOSPC.",
    measure=measure,
    prior=ON_ITS_WAY,
    checks=MOUNT_CHECKS,
    explain=explanation,
)
