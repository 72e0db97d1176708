"""Processes: what each used, and what each waited for."""

from typing import Annotated

from kernelsight.events.declare import (
    Count,
    Counter,
    Event,
    Flag,
    Gauge,
    Int,
    Label,
    Means,
    Spoken,
    Text,
    Unsigned64,
    event,
)

CPU_JITTER_MS = 1_000
"""User and system time are estimated from ticks, and threads that end are added up beside those that go on."""


@event(
    table="process_stats",
    source="/proc/PID/*, taskstats, or iter/task",
    entity=("pid", "start_ticks"),
    foreign=("process_stats", "proc"),
    recognised_by=(("pid", "rss_kb"), ("pid", "utime_ms")),
    indexes=(("pid", "timestamp"), ("rss_kb",)),
    matters=("utime_ms", "stime_ms", "rss_kb", "read_bytes", "write_bytes", "children_write_bytes"),
)
class Process(Event, tag="process"):
    """One process with all its threads. The largest processes have rows, and all that changed."""

    pid: Annotated[Int | None, Label()] = None
    ppid: Annotated[Int | None, Label()] = None
    uid: Annotated[Int | None, Label(), Means("effective user")] = None
    comm: Annotated[Text | None, Label()] = None
    state: Annotated[Text | None, Label(), Means("of the main thread: R S D Z T t I X")] = None
    frozen: Annotated[
        Flag | None, Label(), Means("the freezer of a control group holds its main thread (cgroup.freeze)")
    ] = None
    threads: Annotated[Int | None, Gauge("threads"), Spoken("thread")] = None
    nice: Annotated[Int | None, Gauge()] = None
    start_ticks: Annotated[
        Int | None,
        Label("1/100 s since boot"),
        Means("with the pid, tells a process from a later one with the same pid"),
    ] = None
    utime_ms: Annotated[
        Count | None, Counter("ms", jitter=CPU_JITTER_MS), Spoken("cpu", "cpu time", "user time", "processor", rank=2)
    ] = None
    stime_ms: Annotated[Count | None, Counter("ms", jitter=CPU_JITTER_MS)] = None
    minor_faults: Annotated[Count | None, Counter("faults"), Spoken("fault", "page fault", "minor fault")] = None
    major_faults: Annotated[Count | None, Counter("faults"), Spoken("major fault", "major page fault")] = None
    rss_kb: Annotated[Int | None, Gauge("KiB"), Spoken("memory", "ram", "rss", "resident memory", "resident set")] = (
        None
    )
    anon_kb: Annotated[Int | None, Gauge("KiB"), Means("resident anonymous memory")] = None
    swap_kb: Annotated[Int | None, Gauge("KiB"), Spoken("swap")] = None
    vsize_kb: Annotated[Int | None, Gauge("KiB")] = None
    read_bytes: Annotated[
        Count | None,
        Counter("B"),
        Means("from storage, by the process itself, without its children"),
        Spoken("read", "disk read", "reader", "disk", "io", "disk io", "storage", rank=2),
    ] = None
    write_bytes: Annotated[
        Count | None,
        Counter("B"),
        Means("to storage: pages that the process itself dirtied, without its children"),
        Spoken("write", "disk write", "writer", "disk", "io", "disk io", "storage"),
    ] = None
    cancelled_write_bytes: Annotated[
        Count | None, Counter("B"), Means("bytes of dirty pages that were dropped before they were written")
    ] = None
    read_chars: Annotated[Count | None, Counter("B"), Means("by read(2) and its like, cached or not")] = None
    write_chars: Annotated[Count | None, Counter("B")] = None
    read_syscalls: Annotated[Count | None, Counter("calls")] = None
    write_syscalls: Annotated[Count | None, Counter("calls")] = None
    voluntary_switches: Annotated[Count | None, Counter("switches"), Spoken("context switch", "switch", rank=2)] = None
    involuntary_switches: Annotated[Count | None, Counter("switches")] = None
    fds: Annotated[
        Int | None,
        Gauge("descriptors"),
        Means("open file descriptors"),
        Spoken("descriptor", "file descriptor", "fd", "open file", "file handle", "handle"),
    ] = None
    fd_limit: Annotated[Int | None, Gauge("descriptors"), Means("soft RLIMIT_NOFILE")] = None
    sockets: Annotated[Int | None, Gauge("descriptors"), Means("of these, sockets")] = None
    cpu_delay_ns: Annotated[
        Count | None,
        Counter("ns"),
        Means("runnable, waiting for a CPU"),
        Spoken("run queue", "scheduling delay", "scheduling latency", "cpu wait", rank=2),
    ] = None
    blkio_delay_ns: Annotated[
        Count | None,
        Counter("ns"),
        Means("waiting for synchronous block I/O"),
        Spoken("io wait", "io delay", "disk wait", "wait for disk", "wait for the disk", "wait on disk", "wait for io"),
    ] = None
    swapin_delay_ns: Annotated[Count | None, Counter("ns"), Means("waiting for swapped pages")] = None
    reclaim_delay_ns: Annotated[Count | None, Counter("ns"), Means("in direct reclaim")] = None
    thrashing_delay_ns: Annotated[Count | None, Counter("ns"), Means("waiting for pages just evicted")] = None
    cgroup: Annotated[Text | None, Label(), Means("path")] = None
    cgroup_id: Annotated[Int | None, Label(), Unsigned64(), Means("cgroup v2 id")] = None
    memory_cgroup: Annotated[
        Text | None,
        Label(),
        Means("path of the group to which its memory counts; the group of version 1 where that accounts memory"),
    ] = None
    io_cgroup: Annotated[
        Text | None,
        Label(),
        Means("path of the group to which its I/O counts; the group of version 1 where that accounts I/O"),
    ] = None
    children_read_bytes: Annotated[
        Count | None,
        Counter("B"),
        Means(
            "from storage, by ended children whose exit status the process has read; without reads "
            "that the children's own rows show"
        ),
    ] = None
    children_write_bytes: Annotated[Count | None, Counter("B"), Means("pages dirtied, likewise")] = None
    exe: Annotated[
        Text | None,
        Label(),
        Means(
            "path of the file that it runs, with ` (deleted)` where that was removed; in the first row of a process, "
            "where its name changes, and every 10 s"
        ),
    ] = None


@event(
    table="socket_owners",
    source="iter/task_file, or /proc/PID/fd with /proc/net/tcp",
    entity=("pid",),
    recognised_by=(("pid", "close_wait"),),
    indexes=(("pid", "timestamp"), ("close_wait",)),
    matters=("close_wait", "established", "receive_queue_bytes", "send_queue_bytes"),
)
class SocketOwner(Event, tag="socket_owner"):
    """TCP sockets of one process in states that a leak shows in."""

    pid: Annotated[Int | None, Label()] = None
    comm: Annotated[Text | None, Label()] = None
    established: Annotated[
        Int | None, Gauge("sockets"), Spoken("connection", "tcp connection", "socket", "established")
    ] = None
    close_wait: Annotated[Int | None, Gauge("sockets"), Spoken("close wait")] = None
    syn_sent: Annotated[Int | None, Gauge("sockets")] = None
    listening: Annotated[Int | None, Gauge("sockets")] = None
    other: Annotated[Int | None, Gauge("sockets")] = None
    receive_queue_bytes: Annotated[Int | None, Gauge("B"), Means("bytes not yet read, over all its sockets")] = None
    send_queue_bytes: Annotated[Int | None, Gauge("B"), Means("bytes not yet acknowledged, over all its sockets")] = (
        None
    )
