"""Control groups: what a group has used, and what its limits did to it."""

from typing import Annotated

from kernelsight.events.declare import Count, Counter, Event, Gauge, Int, Label, Means, Spoken, Text, Unsigned64, event

CPU_JITTER_US = 100_000
"""Use of user and system is estimated from ticks, and use of many CPUs added up while they go on."""


@event(
    table="cgroup_stats",
    source="cgroup v2 (v1 where that is all there is)",
    entity=("cgroup",),
    foreign=("cgroup_stats",),
    recognised_by=(("cgroup", "cpu_usage_us"), ("cgroup", "memory_current_bytes")),
    indexes=(("cgroup", "timestamp"),),
    matters=("cpu_usage_us", "memory_current_bytes"),
)
class Cgroup(Event, tag="cgroup"):
    """One control group, its descendants included (Documentation/admin-guide/cgroup-v2.rst)."""

    cgroup: Annotated[Text | None, Label(), Means("path below the mount of the hierarchy")] = None
    cgroup_id: Annotated[Int | None, Label(), Unsigned64(), Means("cgroup v2 id")] = None
    cpu_usage_us: Annotated[Count | None, Counter("us", jitter=CPU_JITTER_US), Spoken("cpu", "cpu time")] = None
    cpu_user_us: Annotated[Count | None, Counter("us", jitter=CPU_JITTER_US)] = None
    cpu_system_us: Annotated[Count | None, Counter("us", jitter=CPU_JITTER_US)] = None
    cpu_periods: Annotated[Count | None, Counter("periods")] = None
    cpu_throttled_periods: Annotated[Count | None, Counter("periods")] = None
    cpu_throttled_us: Annotated[
        Count | None, Counter("us"), Spoken("throttle", "throttled", "throttling", "cpu throttling", "cpu limit")
    ] = None
    cpu_quota_us: Annotated[Int | None, Gauge("us"), Means("per period; NULL: no limit")] = None
    cpu_period_us: Annotated[Int | None, Gauge("us")] = None
    cpu_weight: Annotated[Int | None, Gauge(), Means("cpu.weight, or cpu.shares on v1")] = None
    memory_current_bytes: Annotated[Int | None, Gauge("B"), Spoken("memory", "ram")] = None
    memory_limit_bytes: Annotated[Int | None, Gauge("B"), Means("memory.max; NULL: no limit")] = None
    memory_high_bytes: Annotated[Int | None, Gauge("B")] = None
    memory_swap_bytes: Annotated[Int | None, Gauge("B")] = None
    memory_anon_bytes: Annotated[Int | None, Gauge("B")] = None
    memory_file_bytes: Annotated[Int | None, Gauge("B")] = None
    memory_shmem_bytes: Annotated[
        Int | None, Gauge("B"), Means("part of this that is tmpfs and shared memory; only swap can free it")
    ] = None
    memory_slab_bytes: Annotated[
        Int | None, Gauge("B"), Means("kernel objects: dentries, inodes, sockets; all kernel memory on v1")
    ] = None
    memory_slab_unreclaimable_bytes: Annotated[
        Int | None, Gauge("B"), Means("part of this that the kernel cannot free when memory is short")
    ] = None
    memory_dirty_bytes: Annotated[Int | None, Gauge("B")] = None
    memory_pgmajfault: Annotated[Count | None, Counter("faults")] = None
    memory_refaults: Annotated[Count | None, Counter("pages")] = None
    memory_high_events: Annotated[Count | None, Counter("events")] = None
    memory_max_events: Annotated[Count | None, Counter("events"), Means("the limit was hit; failcnt on v1")] = None
    memory_oom_events: Annotated[Count | None, Counter("events")] = None
    memory_oom_kills: Annotated[Count | None, Counter("kills")] = None
    io_read_bytes: Annotated[Count | None, Counter("B")] = None
    io_write_bytes: Annotated[Count | None, Counter("B")] = None
    io_read_ios: Annotated[Count | None, Counter("requests")] = None
    io_write_ios: Annotated[Count | None, Counter("requests")] = None
    pids_current: Annotated[Int | None, Gauge("tasks")] = None
    pids_limit: Annotated[Int | None, Gauge("tasks"), Means("NULL: no limit")] = None
    pids_limit_events: Annotated[
        Count | None, Counter("forks"), Means("forks that the kernel refused at the limit")
    ] = None
    io_read_bytes_limit: Annotated[Int | None, Gauge("B/s"), Means("of the device with the lowest; NULL: none")] = None
    io_write_bytes_limit: Annotated[Int | None, Gauge("B/s"), Means("as for reading")] = None
    io_read_ios_limit: Annotated[Int | None, Gauge("requests/s"), Means("as for bytes")] = None
    io_write_ios_limit: Annotated[Int | None, Gauge("requests/s"), Means("as for bytes")] = None
    io_limited_read_bytes: Annotated[
        Count | None,
        Counter("B"),
        Means("of the device that the limit is for: one that lies on another one counts twice in the sum; NULL: none"),
    ] = None
    io_limited_write_bytes: Annotated[Count | None, Counter("B"), Means("as for reading")] = None
    io_limited_read_ios: Annotated[Count | None, Counter("requests"), Means("as for bytes")] = None
    io_limited_write_ios: Annotated[Count | None, Counter("requests"), Means("as for bytes")] = None
