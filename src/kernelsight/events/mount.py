"""Mounts: what is mounted where and how, and when that changes."""

from typing import Annotated

from kernelsight.events.declare import Event, Int, Label, Means, Text, event


@event(
    table="mounts",
    source="/proc/self/mountinfo, when the kernel says that it has changed",
    entity=("mount_point",),
    recognised_by=(("mount_point", "mount_options"),),
    indexes=(("mount_point", "timestamp"),),
    interval_s=None,
    most_per_s=50,
)
class Mount(Event, tag="mount"):
    """One mount point: a row when the collector begins, and one for each change. Of several mounts, the one on top."""

    mount_point: Annotated[Text | None, Label()] = None
    device: Annotated[Text | None, Label(), Means("what is mounted; NULL: nothing is any more")] = None
    fs_type: Annotated[Text | None, Label()] = None
    device_number: Annotated[Text | None, Label(), Means("major:minor, as in `filesystem_stats`")] = None
    mount_options: Annotated[
        Text | None,
        Label(),
        Means("of the mount and of the file system, up to 400 characters; `ro`: it cannot be written to"),
    ] = None
    previous_device: Annotated[Text | None, Label(), Means("before the change; NULL: nothing was mounted there")] = None
    previous_options: Annotated[Text | None, Label(), Means("before the change")] = None
    unchanged_ns: Annotated[
        Int | None,
        Label("ns"),
        Means("last look that found no change; the change lies between this and `timestamp`; NULL: the first look"),
    ] = None
