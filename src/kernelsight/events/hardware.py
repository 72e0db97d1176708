"""Health of hardware: links, speeds of CPUs, memory, arrays of disks."""

from __future__ import annotations

from typing import Annotated

from kernelsight.events.declare import Count, Counter, Event, Flag, Gauge, Int, Label, Means, Real, Text, event


@event(
    table="links",
    source="/sys/class/net/*/{flags,operstate,carrier_up_count,carrier_down_count,uevent,device}; every 10 s, and when "
    "they change",
    entity=("interface_name",),
    recognised_by=(("interface_name", "operstate"), ("interface_name", "carrier_downs")),
    indexes=(("interface_name", "timestamp"),),
    interval_s=10.0,
    matters=("carrier_downs",),
    most_per_s=100,
)
class Link(Event, tag="link"):
    """The link of one interface. Those that are up, or have been, have rows: when they change, and every 10 s."""

    interface_name: Annotated[Text | None, Label()] = None
    is_up: Annotated[Flag | None, Label(), Means("whether an administrator wants it up (IFF_UP)")] = None
    operstate: Annotated[
        Text | None, Label(), Means("`up`, `down`, `lowerlayerdown`, `dormant` or `unknown` (RFC 2863)")
    ] = None
    carrier_ups: Annotated[Count | None, Counter("times", bits=32), Means("the link came")] = None
    carrier_downs: Annotated[Count | None, Counter("times", bits=32), Means("the link went")] = None
    device_type: Annotated[
        Text | None, Label(), Means("such as `bridge`, `bond`, `vlan` or `wlan` (DEVTYPE); NULL: none, as of a wire")
    ] = None
    has_device: Annotated[
        Flag | None,
        Label(),
        Means("a device of a bus is behind it, and it is no bridge, tunnel or end of a pair that software makes"),
    ] = None


@event(
    table="cpu_speeds",
    source="/sys/devices/system/cpu/cpu*/{cpufreq,thermal_throttle}; every 5 s",
    entity=("cpu",),
    recognised_by=(("cpu", "limit_khz"), ("cpu", "core_throttles")),
    indexes=(("cpu", "timestamp"),),
    interval_s=5.0,
    most_per_s=1000,
)
class CpuSpeed(Event, tag="cpu_speed"):
    """How fast one CPU may run, and how often it was too hot (Documentation/admin-guide/pm/cpufreq.rst)."""

    cpu: Annotated[Int | None, Label()] = None
    frequency_khz: Annotated[Int | None, Gauge("kHz"), Means("scaling_cur_freq: of the last moments, or asked for")] = (
        None
    )
    limit_khz: Annotated[
        Int | None, Gauge("kHz"), Means("scaling_max_freq: the least of what users, firmware and heat allow")
    ] = None
    hardware_khz: Annotated[Int | None, Gauge("kHz"), Means("cpuinfo_max_freq: what the hardware can")] = None
    governor: Annotated[Text | None, Label()] = None
    core_throttles: Annotated[Count | None, Counter("times"), Means("the core was too hot")] = None
    package_throttles: Annotated[Count | None, Counter("times"), Means("its package was too hot")] = None
    core_throttled_ms: Annotated[Count | None, Counter("ms")] = None
    package_throttled_ms: Annotated[Count | None, Counter("ms")] = None


@event(
    table="memory_errors",
    source="/sys/devices/system/edac/mc/mc*/; every 10 s",
    entity=("controller", "module"),
    recognised_by=(("controller", "corrected"),),
    indexes=(),
    interval_s=10.0,
)
class MemoryErrors(Event, tag="memory_errors"):
    """Errors of memory that one controller counted since its driver was loaded (Documentation/driver-api/edac.rst)."""

    controller: Annotated[Text | None, Label(), Means("such as `mc0`")] = None
    module: Annotated[Text | None, Label(), Means("label of the module; NULL: of no module that is known")] = None
    corrected: Annotated[Count | None, Counter("errors")] = None
    uncorrected: Annotated[Count | None, Counter("errors")] = None


@event(
    table="raid_arrays",
    source="/sys/block/md*/md/; every 5 s",
    entity=("device_name",),
    recognised_by=(("device_name", "raid_disks"), ("device_name", "degraded")),
    indexes=(("device_name", "timestamp"),),
    interval_s=5.0,
)
class RaidArray(Event, tag="raid_array"):
    """One array of disks (Documentation/admin-guide/md.rst)."""

    device_name: Annotated[Text | None, Label(), Means("such as `md0`")] = None
    raid_level: Annotated[Text | None, Label()] = None
    array_state: Annotated[Text | None, Label(), Means("such as `clean`, `active`, `inactive`, `read-auto`")] = None
    raid_disks: Annotated[Int | None, Gauge("disks")] = None
    degraded: Annotated[
        Int | None, Gauge("disks"), Means("disks that are missing; NULL: the level has no spare copy")
    ] = None
    sync_action: Annotated[Text | None, Label(), Means("`idle`, `resync`, `recover`, `check`, `repair`, ...")] = None
    synced_share: Annotated[Real | None, Gauge(), Means("of the pass that is under way; NULL where there is none")] = (
        None
    )
    faulty: Annotated[Text | None, Label(), Means("members that are faulty, separated by commas")] = None
