"""The scheduler: which threads ran, which waited, and for which other threads."""

from typing import Annotated, Literal

from kernelsight.events.declare import (
    Aka,
    Count,
    Counter,
    Delta,
    Event,
    Gauge,
    Int,
    Label,
    Means,
    Real,
    Scaled,
    Spoken,
    Text,
    Unsigned64,
    event,
)

TICKS_JITTER = 100
"""The kernel moves ticks between columns after it has shown them (Documentation/filesystems/proc.rst on iowait)."""


@event(
    table="sched_events",
    source="eBPF sched_switch; run-queue wait over a threshold",
    entity=("pid",),
    foreign=("scheduler", "sched_latency", "runqlat"),
    recognised_by=(("prev_state",), ("next_pid",)),
    indexes=(("pid", "timestamp"), ("latency_ns",), ("comm", "latency_ns")),
    interval_s=None,
    most_per_s=300,
    matters=("latency_ns",),
)
class Sched(Event, tag="sched"):
    """A thread that was runnable and waited long for a CPU."""

    pid: Annotated[Int | None, Label(), Means("process that waited")] = None
    tid: Annotated[Int | None, Label()] = None
    cpu: Annotated[Int | None, Label()] = None
    latency_ns: Annotated[
        Int | None,
        Gauge("ns"),
        Scaled("latency_us", 1e3),
        Scaled("latency_ms", 1e6),
        Means("runnable until running"),
    ] = None
    prev_state: Annotated[Int | None, Label(), Means("state of the previous thread when it was switched out")] = None
    next_pid: Annotated[Int | None, Label(), Means("thread that got the CPU: the waiter itself")] = None
    comm: Annotated[Text | None, Label()] = None
    prev_pid: Annotated[Int | None, Label(), Means("thread that had the CPU before")] = None
    prev_comm: Annotated[Text | None, Label()] = None
    cgroup_id: Annotated[Int | None, Label(), Unsigned64()] = None


@event(
    table="sched_process_stats",
    source="eBPF sched_switch, sched_wakeup, sched_process_fork/exec, every second",
    entity=("pid",),
    foreign=("sched", "sched_stats"),
    recognised_by=(("context_switches", "voluntary_switches"), ("cpu_time_ms", "avg_timeslice_us")),
    indexes=(("pid", "timestamp"), ("context_switches",), ("cpu_time_ms",)),
    matters=("cpu_time_ms", "context_switches", "runqueue_ms", "forks"),
    most_per_s=100,
)
class SchedProcess(Event, tag="sched_process"):
    """One process's use of the scheduler within one second."""

    pid: Annotated[Int | None, Label()] = None
    comm: Annotated[Text | None, Label()] = None
    context_switches: Annotated[Int | None, Delta("switches"), Spoken("context switch", "switch")] = None
    voluntary_switches: Annotated[Int | None, Delta("switches")] = None
    involuntary_switches: Annotated[Int | None, Delta("switches")] = None
    wakeups: Annotated[Int | None, Delta("wakeups")] = None
    cpu_time_ms: Annotated[
        Real | None,
        Delta("ms"),
        Scaled("cpu_time_ns", 1e-6),
        Scaled("cpu_time_us", 1e-3),
        Spoken("cpu", "cpu time", "processor", "core", "compute"),
    ] = None
    avg_timeslice_us: Annotated[Real | None, Gauge("us"), Scaled("avg_timeslice_ns", 1e-3)] = None
    runqueue_ms: Annotated[
        Real | None,
        Delta("ms"),
        Means("runnable, waiting for a CPU; summed over threads"),
        Spoken("run queue", "scheduling delay", "scheduling latency", "cpu wait"),
    ] = None
    forks: Annotated[Int | None, Delta("children"), Spoken("fork", "new process", "child process")] = None
    threads_started: Annotated[
        Int | None, Delta("threads"), Means("threads of its own that it started, besides the first")
    ] = None
    execs: Annotated[Int | None, Delta("execs"), Means("programs that it and its children executed")] = None
    exits: Annotated[Int | None, Delta("children"), Means("children that ended")] = None
    child_lifetime_ms: Annotated[Real | None, Delta("ms"), Means("summed over the children that ended")] = None
    active_threads: Annotated[
        Int | None, Gauge("threads"), Means("threads that were active in the second and exist at its end")
    ] = None
    most_voluntary_switches: Annotated[
        Int | None, Gauge("switches"), Means("of the active thread with the most switches")
    ] = None
    most_cpu_time_ms: Annotated[Real | None, Gauge("ms"), Means("of the active thread with the most CPU time")] = None
    collector_cpu_ms: Annotated[
        Real | None,
        Delta("ms"),
        Means("CPU time of threads that collect garbage for a managed runtime, as their names say"),
        Spoken("garbage collection", "gc", "garbage collector"),
    ] = None
    cgroup_id: Annotated[Int | None, Label(), Unsigned64()] = None


@event(
    table="wait_edges",
    source="eBPF sched_switch, sched_waking, every second",
    entity=("pid", "waker_pid", "waits_in", "state"),
    recognised_by=(("waker_pid", "wait_ns"),),
    indexes=(("pid", "timestamp"), ("waker_pid", "timestamp"), ("wait_ns",)),
    matters=("wait_ns", "runqueue_ns", "count"),
    most_per_s=200,
)
class Wait(Event, tag="wait"):
    """Waits within one second: of the threads of one process, with the process that woke them."""

    pid: Annotated[Int | None, Label(), Means("process that waited")] = None
    comm: Annotated[Text | None, Label()] = None
    waker_pid: Annotated[Int | None, Label(), Means("process that woke it; 0: an interrupt or a timer")] = None
    waker_comm: Annotated[Text | None, Label()] = None
    waker_context: Annotated[
        Literal["task", "softirq", "hardirq", "idle"] | None, Label(), Means("what the waking CPU did at that moment")
    ] = None
    waits_in: Annotated[Text | None, Label(), Means("system call, `page_fault`, or NULL for neither")] = None
    state: Annotated[Literal["runnable", "interruptible", "uninterruptible"] | None, Label()] = None
    count: Annotated[Int | None, Delta("waits")] = None
    wait_ns: Annotated[Int | None, Delta("ns"), Means("asleep until woken")] = None
    runqueue_ns: Annotated[Int | None, Delta("ns"), Means("woken until running")] = None
    max_wait_ns: Annotated[Int | None, Gauge("ns")] = None
    passed_on: Annotated[
        Int | None, Delta("waits"), Means("ended by a thread that had waited for the same futex before, as with a lock")
    ] = None
    passed_on_ns: Annotated[Int | None, Delta("ns"), Means("of `wait_ns`, in the waits that `passed_on` counts")] = None
    cgroup_id: Annotated[Int | None, Label(), Unsigned64(), Means("cgroup of the waiting process")] = None


@event(
    table="blocked_tasks",
    source="eBPF iter/task, or /proc/PID/{stat,wchan,stack}; uninterruptible for more than a second",
    entity=("tid",),
    recognised_by=(("blocked_ms", "wchan"),),
    indexes=(("pid", "timestamp"),),
    matters=("blocked_ms",),
)
class BlockedTask(Event, tag="blocked_task"):
    """A thread that has slept uninterruptibly, or waited for a FUSE file system, for more than a second."""

    pid: Annotated[Int | None, Label()] = None
    tid: Annotated[Int | None, Label()] = None
    comm: Annotated[Text | None, Label()] = None
    blocked_ms: Annotated[Real | None, Gauge("ms"), Means("how long it has waited so far")] = None
    syscall_nr: Annotated[Int | None, Label()] = None
    syscall_name: Annotated[Text | None, Label()] = None
    wchan: Annotated[Text | None, Label(), Means("function of the kernel that it sleeps in")] = None
    stack: Annotated[Text | None, Label(), Means("kernel stack, innermost first, separated by ';'")] = None
    device: Annotated[Text | None, Label(), Means("block device it waits for, where known")] = None
    mount_point: Annotated[Text | None, Label(), Means("mount it waits for, where known")] = None
    cgroup_id: Annotated[Int | None, Label(), Unsigned64()] = None


@event(
    table="load_metrics",
    source="/proc/loadavg",
    foreign=("loadavg", "load_average", "load_metrics"),
    recognised_by=(("load_1min",), ("load_5min",), ("load_15min",)),
    indexes=(("load_1min",),),
)
class Load(Event, tag="load"):
    """Load averages: runnable and uninterruptible tasks, exponentially damped."""

    load_1min: Annotated[
        Real | None, Gauge("tasks"), Aka("load1", "load_1"), Spoken("load", "load average", "system load")
    ] = None
    load_5min: Annotated[Real | None, Gauge("tasks"), Aka("load5", "load_5")] = None
    load_15min: Annotated[Real | None, Gauge("tasks"), Aka("load15", "load_15")] = None
    running_processes: Annotated[
        Int | None, Gauge("tasks"), Aka("running"), Spoken("running process", "runnable process", "runnable task")
    ] = None
    total_processes: Annotated[Int | None, Gauge("tasks"), Aka("total"), Spoken("task", "process", "thread")] = None
    last_pid: Annotated[Int | None, Label()] = None


@event(
    table="cpu_stats",
    source="/proc/stat",
    entity=("cpu",),
    foreign=("cpustat", "cpu_stats"),
    recognised_by=(("user", "system", "idle"),),
    indexes=(("cpu", "timestamp"),),
    most_per_s=5000,
)
class Cpu(Event, tag="cpu"):
    """Time of one CPU by state since boot (Documentation/filesystems/proc.rst)."""

    cpu: Annotated[Int | None, Label(), Means("-1: all together")] = None
    user: Annotated[Count | None, Counter("USER_HZ ticks", jitter=TICKS_JITTER)] = None
    nice: Annotated[Count | None, Counter("USER_HZ ticks", jitter=TICKS_JITTER)] = None
    system: Annotated[Count | None, Counter("USER_HZ ticks", jitter=TICKS_JITTER)] = None
    idle: Annotated[Count | None, Counter("USER_HZ ticks", jitter=TICKS_JITTER)] = None
    iowait: Annotated[Count | None, Counter("USER_HZ ticks", jitter=TICKS_JITTER)] = None
    irq: Annotated[Count | None, Counter("USER_HZ ticks", jitter=TICKS_JITTER)] = None
    softirq: Annotated[Count | None, Counter("USER_HZ ticks", jitter=TICKS_JITTER)] = None
    steal: Annotated[Count | None, Counter("USER_HZ ticks", jitter=TICKS_JITTER)] = None
    guest: Annotated[Count | None, Counter("USER_HZ ticks", jitter=TICKS_JITTER), Means("contained in user")] = None
    guest_nice: Annotated[Count | None, Counter("USER_HZ ticks", jitter=TICKS_JITTER), Means("contained in nice")] = (
        None
    )
    context_switches: Annotated[
        Count | None, Counter("switches"), Means("of the machine; on the -1 row"), Spoken("context switch", "switch")
    ] = None
    forks: Annotated[
        Count | None, Counter("forks"), Means("of the machine; on the -1 row"), Spoken("fork", "new process")
    ] = None
    interrupts: Annotated[
        Count | None, Counter("interrupts"), Means("of the machine; on the -1 row"), Spoken("interrupt", "irq")
    ] = None
    procs_running: Annotated[Int | None, Gauge("tasks"), Means("on the -1 row")] = None
    procs_blocked: Annotated[
        Int | None, Gauge("tasks"), Means("on the -1 row"), Spoken("blocked process", "blocked task")
    ] = None
