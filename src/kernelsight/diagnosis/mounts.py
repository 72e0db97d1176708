"""File systems of a window, and whose calls fail for want of space on which of them."""

from __future__ import annotations

import errno
from collections.abc import Sequence
from dataclasses import dataclass

from kernelsight.diagnosis.errors import Failures, failures
from kernelsight.diagnosis.exhaustible import INODES, SPACE, Exhaustible
from kernelsight.diagnosis.threshold import Threshold
from kernelsight.diagnosis.window import Window
from kernelsight.events.fields import getter
from kernelsight.events.filesystem import Filesystem
from kernelsight.linux.syscalls import CHANGES_SIZE, COMMITS, COPIES, ENTERS_RING, MAKES_NAMES, OPENS, WRITES

FULL_SHARE = Threshold(
    0.01,
    "share of a file system",
    because="judged: the next writer of some size takes what is left",
)
NO_SPACE = frozenset({errno.ENOSPC, errno.EDQUOT})
QUOTA = errno.errorcode[errno.EDQUOT]
_RESOURCES = (SPACE, INODES)
_NEEDS_SPACE = (
    WRITES | CHANGES_SIZE | COPIES | COMMITS | OPENS | MAKES_NAMES | ENTERS_RING | {"close", "ioctl", "io_submit"}
)
"""Calls that need space; others say ENOSPC when their own limits are met, such as `inotify_add_watch` and `shmget`."""
_OF_ANYTHING = ("ioctl",)
"""Calls that need space where their file is on a file system; drivers say ENOSPC for memory of their own."""


def mounts(window: Window) -> Sequence[Sequence[Filesystem]]:
    """The samples of each file system that can be written to; of one that is mounted twice, only the first.

    Use with :meth:`Window.once`.
    """
    found: list[Sequence[Filesystem]] = []
    seen: set[object] = set()
    for rows in window.series(Filesystem).values():
        last = rows[-1]
        same = (last.device, last.fs_type, last.size_bytes, last.avail_bytes, last.inodes_free)
        if not last.read_only and (last.device_number or same) not in seen:
            seen.add(last.device_number or same)
            found.append(rows)
    return found


def is_full(row: Filesystem, resource: Exhaustible[Filesystem]) -> bool:
    """Whether next to nothing of a resource of a file system is left."""
    left, whole = getter(resource.level)(row), getter(resource.whole)(row)
    return left is not None and bool(whole) and left <= FULL_SHARE * (whole or 0)


def full_mounts(window: Window) -> Sequence[Sequence[Filesystem]]:
    """The file systems that are full, of space or of inodes. Use with :meth:`Window.once`."""
    return [rows for rows in window.once(mounts) if any(is_full(rows[-1], of) for of in _RESOURCES)]


def no_space(window: Window) -> Sequence[Failures]:
    """The calls that failed for want of space, of each process and file system apart. Use with :meth:`Window.once`."""
    numbers = {rows[-1].device_number for rows in window.once(mounts)} - {None}
    found = failures(window, NO_SPACE, _NEEDS_SPACE, by_file_system=True)
    return [one for one in found if one.calls != _OF_ANYTHING or one.device_number in numbers]


@dataclass(frozen=True, slots=True)
class Failing:
    """The calls that fail for want of space, as seen from one file system."""

    here: Sequence[Failures]
    """On it: by their files, or because no other one is full."""
    somewhere: Sequence[Failures]
    """Of which it is not known on which of several full file systems they fail."""


def failing(window: Window, rows: Sequence[Filesystem]) -> Failing:
    """Whose calls fail for want of space on a file system, by its samples."""
    number = rows[-1].device_number
    failed = [one for one in window.once(no_space) if one.error != QUOTA]
    here = [one for one in failed if number is not None and one.device_number == number]
    unknown = [one for one in failed if one.device_number is None or number is None]
    others = [other for other in window.once(full_mounts) if other[-1].mount_point != rows[-1].mount_point]
    return Failing(here, unknown) if others else Failing([*here, *unknown], [])


def mount_of(window: Window, failed: Failures) -> str | None:
    """Where the file system is mounted on which calls fail; None where that is not known, or it is not seen."""
    if failed.device_number is None:
        return None
    points = (rows[-1] for rows in window.once(mounts) if rows[-1].device_number == failed.device_number)
    return next((str(row.mount_point) for row in points), None)
