"""File systems: space and inodes."""

from typing import Annotated

from kernelsight.events.declare import Event, Flag, Gauge, Int, Label, Means, Spoken, Text, event


@event(
    table="filesystem_stats",
    source="/proc/self/mountinfo, statvfs(3)",
    entity=("mount_point",),
    foreign=("filesystem_stats", "fs"),
    recognised_by=(("mount_point", "size_bytes"), ("mount_point", "free_bytes")),
    indexes=(("mount_point", "timestamp"),),
    matters=("size_bytes", "inodes_total"),
    most_per_s=100,
)
class Filesystem(Event, tag="filesystem"):
    """Space of one mounted file system."""

    mount_point: Annotated[Text | None, Label()] = None
    device: Annotated[Text | None, Label()] = None
    fs_type: Annotated[Text | None, Label()] = None
    size_bytes: Annotated[Int | None, Gauge("B")] = None
    free_bytes: Annotated[
        Int | None, Gauge("B"), Means("free space, including the space that is reserved for root")
    ] = None
    avail_bytes: Annotated[
        Int | None,
        Gauge("B"),
        Means("for users"),
        Spoken(
            "space", "disk space", "free space", "space left", "room", "file system", "filesystem", "mount", scarce=True
        ),
    ] = None
    inodes_total: Annotated[Int | None, Gauge("inodes")] = None
    inodes_free: Annotated[Int | None, Gauge("inodes"), Spoken("inode", "free inode", scarce=True)] = None
    read_only: Annotated[Flag | None, Label()] = None
    device_number: Annotated[Text | None, Label(), Means("major:minor, as in mountinfo")] = None
