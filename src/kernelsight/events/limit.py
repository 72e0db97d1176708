"""Limits of the kernel on kinds of objects: how much of each is in use, and by which processes."""

from typing import Annotated

from kernelsight.events.declare import Event, Gauge, Int, Label, Means, Text, event


@event(
    table="kernel_limits",
    source="/proc/sys/{fs,kernel,net}, /proc/key-users, /proc/sysvipc, /proc/PID/fd, every 5 s",
    entity=("limit_name", "uid"),
    recognised_by=(("limit_name", "used"), ("limit_name", "maximum")),
    indexes=(("limit_name", "timestamp"),),
    interval_s=5.0,
)
class Limit(Event, tag="limit"):
    """Use of one limit of the kernel: by the machine, by one user, or within the collector's namespaces."""

    limit_name: Annotated[Text | None, Label(), Means("the sysctl that sets it, such as `fs.file-max`")] = None
    uid: Annotated[Int | None, Label(), Means("user whose objects are counted; NULL: all users together")] = None
    used: Annotated[Int | None, Gauge("objects")] = None
    maximum: Annotated[Int | None, Gauge("objects"), Means("number at which the kernel refuses more objects")] = None


@event(
    table="limit_holders",
    source="/proc/PID/fd, /proc/PID/fdinfo; every 10 s or less often",
    entity=("limit_name", "pid"),
    recognised_by=(("limit_name", "held"),),
    indexes=(("limit_name", "timestamp"), ("pid", "timestamp")),
    interval_s=10.0,
)
class LimitHolder(Event, tag="limit_holder"):
    """Objects of one process that a limit of the kernel counts."""

    limit_name: Annotated[Text | None, Label(), Means("as in `kernel_limits`")] = None
    pid: Annotated[Int | None, Label()] = None
    comm: Annotated[Text | None, Label()] = None
    uid: Annotated[Int | None, Label(), Means("user for whom the objects count: the real user of the process")] = None
    held: Annotated[Int | None, Gauge("objects")] = None
