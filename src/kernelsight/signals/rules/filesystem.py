"""File systems that run full."""

from __future__ import annotations

from kernelsight.events.filesystem import Filesystem
from kernelsight.query.filters import Filter
from kernelsight.signals.model import Harm, Measure, minus, rule
from kernelsight.signals.registry import declare

_WRITABLE = (Filter(Filesystem.read_only, "=", 0),)  # an image is full by design

declare(
    __name__,
    rule(
        "space_low",
        Filesystem,
        Measure(
            of=(Filesystem.size_bytes, minus(Filesystem.free_bytes)),
            per=(Filesystem.size_bytes, minus(Filesystem.free_bytes), Filesystem.avail_bytes),
            scale=100,
            unit="%",
            least_per=1,
        ),
        scope="mount",
        where=_WRITABLE,
        levels={"warning": 95, "critical": 99.95},
        clear_below=94,
        raise_after_s=1,
        because="as df(1) counts, so 100 % is where users get ENOSPC; ext4 keeps 5 % for root by default because "
        "allocation gets slow and scattered there (mke2fs(8), -m)",
        harm=Harm("exhaustion", "no space is left: writes to this file system fail"),
        healthy="an archive: for ever",
        summary="{value:.1f} % of the space of {mount_point} is used",
    ),
    rule(
        "inodes_low",
        Filesystem,
        Measure(
            of=(Filesystem.inodes_total, minus(Filesystem.inodes_free)),
            per=(Filesystem.inodes_total,),
            scale=100,
            unit="%",
            least_per=1,
        ),
        scope="mount",
        where=_WRITABLE,
        levels={"warning": 95, "critical": 99.95},
        clear_below=94,
        raise_after_s=1,
        because="without an inode no file can be made, however much space there is (ENOSPC); as of space",
        harm=Harm("exhaustion", "no inode is left: nobody can create a file"),
        healthy="an archive of small files: for ever",
        summary="{value:.1f} % of the inodes of {mount_point} are used",
    ),
)
