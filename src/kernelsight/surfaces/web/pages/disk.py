"""Block devices and file systems."""

from collections.abc import Mapping
from typing import Any

from kernelsight.events.filesystem import Filesystem
from kernelsight.events.process import Process
from kernelsight.query.stored import stored_rows
from kernelsight.query.times import TimeRange
from kernelsight.query.top import leading
from kernelsight.surfaces.web.page import Page, Visit, page
from kernelsight.surfaces.web.table import Table, amount, number, text

_MOST = 12
_RECENT_NS = 60 * 10**9


def _context(visit: Visit) -> Mapping[str, Any]:
    by = (Process.pid, Process.comm)
    with visit.desk.reader() as reader:
        writers = leading(reader, Process, Process.write_bytes, by, visit.when, n=_MOST)
        readers = leading(reader, Process, Process.read_bytes, by, visit.when, n=_MOST)
        end_ns = visit.when.end_ns
        recent = TimeRange(max(visit.when.start_ns, end_ns - _RECENT_NS), end_ns)
        mounts = {row.mount_point: row for row in stored_rows(reader, Filesystem, recent)}
    used = [
        [
            text(row.mount_point),
            text(row.device),
            text(row.fs_type),
            amount(row.size_bytes, "B"),
            amount(row.avail_bytes, "B"),
            amount(_share(row.size_bytes, row.free_bytes), "%"),
            amount(_share(row.inodes_total, row.inodes_free), "%"),
        ]
        for row in sorted(mounts.values(), key=lambda row: -(_share(row.size_bytes, row.free_bytes) or 0))
    ]
    most = [
        Table(
            f"Most bytes {done}",
            f"What processes {do} storage in this time, by themselves.",
            ("Process", "pid", "Bytes"),
            [
                [
                    text(group.of(Process.comm), f"/processes/{group.of(Process.pid)}"),
                    number(group.of(Process.pid)),
                    amount(group.value, "B"),
                ]
                for group in groups
                if group.value
            ],
        )
        for done, do, groups in (("written", "wrote to", writers), ("read", "read from", readers))
    ]
    heads = ("Mounted at", "Device", "Type", "Size", "Available", "Used", "Inodes used")
    return {"tables": [Table("File systems", "As they were last in this time.", heads, used), *most]}


def _share(whole: int | None, left: int | None) -> float | None:
    return 100 * (whole - left) / whole if whole and left is not None else None


page(Page("disk", "Disk", "/disk", context=_context, rank=4))
