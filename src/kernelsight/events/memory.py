"""Memory: faults, levels, activity of reclaim, and the last resort."""

from typing import Annotated, Literal

from kernelsight.events.declare import (
    Aka,
    Count,
    Counter,
    Delta,
    Event,
    Flag,
    Flagged,
    Gauge,
    Int,
    Label,
    Means,
    Scaled,
    Spoken,
    Text,
    Unsigned64,
    event,
)


@event(
    table="page_fault_events",
    source="eBPF handle_mm_fault, exceptions:page_fault_*; over a threshold, and sampled",
    entity=("pid",),
    foreign=("pagefault", "page_faults", "pagefaults"),
    recognised_by=(("address", "fault_type"), ("address", "access_type"), ("fault_type", "latency_ns")),
    indexes=(("pid", "timestamp"), ("latency_ns",), ("fault_type", "timestamp")),
    interval_s=None,
    most_per_s=500,
    matters=("latency_ns",),
)
class PageFault(Event, tag="page_fault"):
    """A page fault and how long its resolution took."""

    pid: Annotated[Int | None, Label()] = None
    tid: Annotated[Int | None, Label()] = None
    cpu: Annotated[Int | None, Label()] = None
    address: Annotated[Int | None, Label(), Unsigned64(), Aka("addr", "fault_address"), Means("faulting address")] = (
        None
    )
    latency_ns: Annotated[
        Int | None, Gauge("ns"), Aka("duration_ns"), Scaled("latency_us", 1e3), Scaled("latency_ms", 1e6)
    ] = None
    fault_type: Annotated[
        Literal["major", "minor"] | None,
        Label(),
        Flagged("is_major", yes="major", no="minor"),
        Means("major: the fault waited for I/O"),
    ] = None
    access_type: Annotated[
        Literal["read", "write", "exec"] | None,
        Label(),
        Flagged("is_instruction", yes="exec"),
        Flagged("is_write", yes="write", no="read"),
    ] = None
    user_mode: Annotated[
        Flag | None,
        Label(),
        Flagged("is_kernel", yes=False, no=True),
        Flagged("is_user", yes=True, no=False),
        Means("raised by code in user mode"),
    ] = None
    comm: Annotated[Text | None, Label()] = None
    cgroup_id: Annotated[Int | None, Label(), Unsigned64()] = None


@event(
    table="page_fault_stats",
    source="eBPF; exact counts per process, every second",
    entity=("pid",),
    recognised_by=(("minor_faults", "major_faults", "fault_ns"),),
    indexes=(("pid", "timestamp"),),
    matters=("fault_ns", "major_faults", "minor_faults"),
)
class PageFaultStats(Event, tag="page_fault_stats"):
    """Page faults of one process within one second, all of them."""

    pid: Annotated[Int | None, Label()] = None
    comm: Annotated[Text | None, Label()] = None
    minor_faults: Annotated[Int | None, Delta("faults")] = None
    major_faults: Annotated[Int | None, Delta("faults")] = None
    fault_ns: Annotated[Int | None, Delta("ns"), Means("time in fault handling, where it can be measured")] = None
    max_latency_ns: Annotated[Int | None, Gauge("ns")] = None
    cgroup_id: Annotated[Int | None, Label(), Unsigned64()] = None


@event(
    table="memory_metrics",
    source="/proc/meminfo",
    foreign=("meminfo", "mem", "memory_metrics"),
    recognised_by=(("mem_total_kb",), ("mem_available_kb",), ("mem_free_kb",)),
    indexes=(("mem_available_kb",), ("timestamp", "mem_available_kb", "mem_total_kb")),
)
class Memory(Event, tag="memory"):
    """Memory of the machine (Documentation/filesystems/proc.rst, meminfo)."""

    mem_total_kb: Annotated[Int | None, Gauge("KiB"), Aka("MemTotal")] = None
    mem_free_kb: Annotated[Int | None, Gauge("KiB"), Aka("MemFree")] = None
    mem_available_kb: Annotated[
        Int | None,
        Gauge("KiB"),
        Aka("MemAvailable"),
        Spoken(
            "memory",
            "ram",
            "free memory",
            "available memory",
            "memory free",
            "memory available",
            "memory left",
            "ram free",
            "free ram",
            scarce=True,
        ),
    ] = None
    buffers_kb: Annotated[Int | None, Gauge("KiB"), Aka("Buffers")] = None
    cached_kb: Annotated[Int | None, Gauge("KiB"), Aka("Cached"), Spoken("page cache", "cached", "file cache")] = None
    swap_total_kb: Annotated[Int | None, Gauge("KiB"), Aka("SwapTotal")] = None
    swap_free_kb: Annotated[
        Int | None,
        Gauge("KiB"),
        Aka("SwapFree"),
        Spoken("swap", "free swap", "swap free", "swap left", "swap space", scarce=True),
    ] = None
    active_kb: Annotated[Int | None, Gauge("KiB"), Aka("Active")] = None
    inactive_kb: Annotated[Int | None, Gauge("KiB"), Aka("Inactive")] = None
    dirty_kb: Annotated[
        Int | None, Gauge("KiB"), Aka("Dirty"), Spoken("dirty", "dirty page", "dirty memory", "dirty data")
    ] = None
    writeback_kb: Annotated[Int | None, Gauge("KiB"), Aka("Writeback"), Spoken("writeback")] = None
    swap_cached_kb: Annotated[Int | None, Gauge("KiB"), Aka("SwapCached")] = None
    active_anon_kb: Annotated[Int | None, Gauge("KiB")] = None
    inactive_anon_kb: Annotated[Int | None, Gauge("KiB")] = None
    active_file_kb: Annotated[Int | None, Gauge("KiB")] = None
    inactive_file_kb: Annotated[Int | None, Gauge("KiB")] = None
    unevictable_kb: Annotated[Int | None, Gauge("KiB")] = None
    mlocked_kb: Annotated[Int | None, Gauge("KiB")] = None
    anon_kb: Annotated[Int | None, Gauge("KiB"), Means("AnonPages: anonymous pages mapped by processes")] = None
    mapped_kb: Annotated[Int | None, Gauge("KiB")] = None
    shmem_kb: Annotated[Int | None, Gauge("KiB"), Aka("Shmem")] = None
    slab_kb: Annotated[Int | None, Gauge("KiB"), Aka("Slab"), Spoken("slab", "kernel memory")] = None
    slab_reclaimable_kb: Annotated[Int | None, Gauge("KiB"), Aka("SReclaimable")] = None
    slab_unreclaimable_kb: Annotated[Int | None, Gauge("KiB"), Aka("SUnreclaim")] = None
    kernel_stack_kb: Annotated[Int | None, Gauge("KiB")] = None
    page_tables_kb: Annotated[Int | None, Gauge("KiB")] = None
    commit_limit_kb: Annotated[Int | None, Gauge("KiB")] = None
    committed_kb: Annotated[
        Int | None, Gauge("KiB"), Means("Committed_AS"), Spoken("committed memory", "committed")
    ] = None
    huge_pages_total: Annotated[Int | None, Gauge("pages")] = None
    huge_pages_free: Annotated[Int | None, Gauge("pages")] = None
    huge_page_size_kb: Annotated[Int | None, Gauge("KiB")] = None
    hugetlb_kb: Annotated[Int | None, Gauge("KiB"), Means("huge pages of all sizes, used or not")] = None
    zfs_arc_kb: Annotated[
        Int | None,
        Gauge("KiB"),
        Means(
            "memory that the cache of ZFS (ARC) gives back on demand: its size above its minimum; "
            "not part of mem_available_kb"
        ),
    ] = None


@event(
    table="vm_activity",
    source="/proc/vmstat",
    foreign=("vm_activity",),
    recognised_by=(("pgfault", "pgmajfault"), ("pswpin", "pswpout"), ("pgscan_direct",)),
    indexes=(),
)
class Vmstat(Event, tag="vmstat"):
    """Counters of the virtual memory system since boot (mm/vmstat.c)."""

    pgfault: Annotated[Count | None, Counter("faults"), Spoken("fault", "page fault")] = None
    pgmajfault: Annotated[Count | None, Counter("faults"), Spoken("major fault", "major page fault")] = None
    pgpgin: Annotated[Count | None, Counter("KiB")] = None
    pgpgout: Annotated[Count | None, Counter("KiB")] = None
    pswpin: Annotated[Count | None, Counter("pages"), Spoken("swapping", "swap in", "swap activity", "paging")] = None
    pswpout: Annotated[Count | None, Counter("pages"), Spoken("swapping", "swap out", "swap activity", "paging")] = None
    pgscan_kswapd: Annotated[Count | None, Counter("pages")] = None
    pgscan_direct: Annotated[Count | None, Counter("pages")] = None
    pgscan_khugepaged: Annotated[Count | None, Counter("pages")] = None
    pgsteal_kswapd: Annotated[Count | None, Counter("pages")] = None
    pgsteal_direct: Annotated[Count | None, Counter("pages")] = None
    pgsteal_khugepaged: Annotated[Count | None, Counter("pages")] = None
    allocstall_dma: Annotated[Count | None, Counter("stalls")] = None
    allocstall_dma32: Annotated[Count | None, Counter("stalls")] = None
    allocstall_normal: Annotated[Count | None, Counter("stalls")] = None
    allocstall_movable: Annotated[Count | None, Counter("stalls")] = None
    workingset_refault_anon: Annotated[Count | None, Counter("pages")] = None
    workingset_refault_file: Annotated[Count | None, Counter("pages")] = None
    workingset_activate_anon: Annotated[Count | None, Counter("pages")] = None
    workingset_activate_file: Annotated[Count | None, Counter("pages")] = None
    oom_kill: Annotated[Count | None, Counter("kills")] = None
    drop_pagecache: Annotated[Count | None, Counter("times")] = None
    compact_stall: Annotated[
        Count | None, Counter("stalls"), Means("times that a task itself moved pages to get a large free block")
    ] = None
    compact_fail: Annotated[Count | None, Counter("stalls"), Means("of them, without getting one")] = None
    compact_success: Annotated[Count | None, Counter("stalls")] = None
    compact_migrate_scanned: Annotated[Count | None, Counter("pages")] = None
    compact_free_scanned: Annotated[Count | None, Counter("pages")] = None
    thp_fault_alloc: Annotated[Count | None, Counter("pages")] = None
    thp_fault_fallback: Annotated[Count | None, Counter("pages")] = None
    thp_collapse_alloc: Annotated[Count | None, Counter("pages")] = None
    thp_collapse_alloc_failed: Annotated[Count | None, Counter("pages")] = None
    thp_split_page: Annotated[Count | None, Counter("pages")] = None
    numa_pte_updates: Annotated[
        Count | None, Counter("pages"), Means("marked, to see by a fault from which node they are used")
    ] = None
    numa_hint_faults: Annotated[Count | None, Counter("faults"), Means("on pages that were marked so")] = None
    numa_hint_faults_local: Annotated[Count | None, Counter("faults"), Means("of them, from their own node")] = None
    numa_pages_migrated: Annotated[Count | None, Counter("pages"), Means("moved to the node that uses them")] = None
    nr_dirtied: Annotated[Count | None, Counter("pages")] = None
    nr_written: Annotated[Count | None, Counter("pages")] = None
    balloon_inflate: Annotated[Count | None, Counter("pages")] = None
    balloon_deflate: Annotated[Count | None, Counter("pages")] = None


@event(
    table="oom_events",
    source="eBPF oom:mark_victim",
    entity=("pid",),
    foreign=("oom", "oom_event"),
    recognised_by=(("total_vm_kb", "anon_rss_kb"),),
    indexes=(("pid", "timestamp"),),
    interval_s=None,
)
class OomKill(Event, tag="oom_kill"):
    """A process that the kernel chose to kill because memory ran out."""

    pid: Annotated[Int | None, Label(), Means("the victim")] = None
    comm: Annotated[Text | None, Label()] = None
    uid: Annotated[Int | None, Label()] = None
    total_vm_kb: Annotated[Int | None, Gauge("KiB")] = None
    anon_rss_kb: Annotated[Int | None, Gauge("KiB")] = None
    file_rss_kb: Annotated[Int | None, Gauge("KiB")] = None
    shmem_rss_kb: Annotated[Int | None, Gauge("KiB")] = None
    page_tables_kb: Annotated[Int | None, Gauge("KiB")] = None
    oom_score_adj: Annotated[Int | None, Gauge()] = None
    trigger_pid: Annotated[Int | None, Label(), Means("whose allocation failed")] = None
    trigger_comm: Annotated[Text | None, Label()] = None
    cgroup_id: Annotated[Int | None, Label(), Unsigned64(), Means("cgroup of the victim")] = None
    cgroup: Annotated[Text | None, Label(), Means("path of the group to which its memory counts, where known")] = None
