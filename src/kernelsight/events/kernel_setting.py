"""Settings of the kernel: what they are, and when they are changed."""

from typing import Annotated

from kernelsight.events.declare import Event, Int, Label, Means, Text, event


@event(
    table="kernel_settings",
    source="/proc/sys, /sys/kernel/mm, /sys/block/*/queue; every 20 s",
    entity=("setting_name",),
    recognised_by=(("setting_name", "previous_value"),),
    indexes=(("setting_name", "timestamp"),),
    interval_s=None,
    most_per_s=100,
)
class KernelSetting(Event, tag="kernel_setting"):
    """One setting of the kernel: a row when the collector begins, and one for each change.

    Settings of the network are those of the collector's network namespace. Those of single interfaces are left out.
    """

    setting_name: Annotated[Text | None, Label(), Means("a sysctl, such as `vm.swappiness`, or a path below /sys")] = (
        None
    )
    value: Annotated[
        Text | None, Label(), Means("up to 256 characters; of a choice, the chosen one; NULL: the setting is gone")
    ] = None
    previous_value: Annotated[Text | None, Label(), Means("before the change; NULL: there was none")] = None
    unchanged_ns: Annotated[
        Int | None,
        Label("ns"),
        Means("last look that found no change; the change lies between this and `timestamp`; NULL: the first look"),
    ] = None
