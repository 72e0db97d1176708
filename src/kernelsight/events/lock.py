"""Locks on files."""

from typing import Annotated, Literal

from kernelsight.events.declare import Event, Int, Label, Means, Text, event


@event(
    table="file_lock_waits",
    source="/proc/locks",
    entity=("pid",),
    recognised_by=(("holder_pid", "inode"),),
    indexes=(("pid", "timestamp"), ("holder_pid", "timestamp")),
)
class FileLockWait(Event, tag="file_lock_wait"):
    """A process that waits for a file lock at the moment of the sample, and the process that holds the lock."""

    pid: Annotated[Int | None, Label(), Means("process that waits; NULL: a lock of an open file, not of a process")] = (
        None
    )
    comm: Annotated[Text | None, Label()] = None
    holder_pid: Annotated[Int | None, Label(), Means("process that locked the file; NULL as for `pid`")] = None
    holder_comm: Annotated[Text | None, Label()] = None
    lock_type: Annotated[Literal["flock", "posix", "ofd", "lease", "other"] | None, Label()] = None
    device_name: Annotated[Text | None, Label(), Means("major:minor, of the file's file system")] = None
    inode: Annotated[Int | None, Label()] = None
