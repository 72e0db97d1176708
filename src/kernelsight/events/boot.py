"""The machine since it was started."""

from typing import Annotated

from kernelsight.events.declare import Event, Int, Label, Means, Text, event


@event(
    table="boots",
    source="CLOCK_REALTIME less CLOCK_BOOTTIME, /proc/sys/kernel/{osrelease,version}, /proc/cmdline; every 10 min",
    recognised_by=(("boot_ns", "kernel_release"),),
    interval_s=600.0,
)
class Boot(Event, tag="boot"):
    """When this machine was started, and with which kernel."""

    boot_ns: Annotated[
        Int | None,
        Label("ns"),
        Means("start of the machine, since the epoch; other than before where the clock was set, too"),
    ] = None
    kernel_release: Annotated[Text | None, Label(), Means("as uname(1) -r says it")] = None
    kernel_version: Annotated[Text | None, Label(), Means("as uname(1) -v says it")] = None
    command_line: Annotated[Text | None, Label(), Means("of the kernel, up to 512 characters")] = None
