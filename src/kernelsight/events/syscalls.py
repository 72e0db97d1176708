"""System calls: the slow ones, and those that fail because a resource is used up."""

from typing import Annotated

from kernelsight.events.declare import (
    Aka,
    Delta,
    Event,
    Flag,
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
    table="syscall_events",
    source="eBPF sys_exit, sched_switch; latency over a threshold (10 ms by default)",
    entity=("pid",),
    foreign=("syscalls", "slow_syscall", "syscall_latency"),
    recognised_by=(("syscall_nr", "latency_ns"), ("syscall_name", "latency_ns")),
    indexes=(("pid", "timestamp"), ("latency_ns",), ("comm", "syscall_name", "latency_ns")),
    interval_s=None,
    most_per_s=1000,
    matters=("latency_ns",),
)
class Syscall(Event, tag="syscall"):
    """A slow system call, and how its time was spent."""

    pid: Annotated[Int | None, Label(), Means("process (tgid)")] = None
    tid: Annotated[Int | None, Label(), Means("thread")] = None
    cpu: Annotated[Int | None, Label(), Means("CPU on which the call returned")] = None
    uid: Annotated[Int | None, Label()] = None
    syscall_nr: Annotated[Int | None, Label(), Aka("syscall", "syscall_id", "nr"), Means("number on this ABI")] = None
    syscall_name: Annotated[Text | None, Label(), Aka("name", "syscall")] = None
    latency_ns: Annotated[
        Int | None,
        Gauge("ns"),
        Aka("duration_ns"),
        Scaled("latency_us", 1e3),
        Scaled("latency_ms", 1e6),
        Scaled("duration_us", 1e3),
        Scaled("duration_ms", 1e6),
        Means("from entry to return"),
        Spoken("syscall", "system call", "slow syscall"),
    ] = None
    ret_value: Annotated[Int | None, Gauge(), Aka("ret", "retval"), Means("return value; negative errno on error")] = (
        None
    )
    is_error: Annotated[Flag | None, Label(), Means("the call returned an error")] = None
    arg0: Annotated[Int | None, Label(), Unsigned64(), Means("first argument")] = None
    comm: Annotated[Text | None, Label(), Means("thread name")] = None
    on_cpu_ns: Annotated[Int | None, Gauge("ns"), Means("part of the latency spent running")] = None
    runqueue_ns: Annotated[Int | None, Gauge("ns"), Means("part spent runnable, waiting for a CPU")] = None
    blocked_ns: Annotated[Int | None, Gauge("ns"), Means("part spent in uninterruptible sleep")] = None
    sleep_ns: Annotated[Int | None, Gauge("ns"), Means("part spent in interruptible sleep")] = None
    cgroup_id: Annotated[Int | None, Label(), Unsigned64(), Means("cgroup v2 id")] = None


@event(
    table="syscall_errors",
    source="eBPF sys_exit; only errors that mean exhaustion",
    entity=("pid", "syscall_nr", "errno"),
    recognised_by=(("errno", "count"),),
    indexes=(("pid", "timestamp"), ("errno", "timestamp")),
    matters=("count",),
)
class SyscallError(Event, tag="syscall_error"):
    """System calls of one process that failed within one second because a resource was used up or a file was locked."""

    pid: Annotated[Int | None, Label()] = None
    comm: Annotated[Text | None, Label()] = None
    syscall_nr: Annotated[Int | None, Label()] = None
    syscall_name: Annotated[Text | None, Label()] = None
    errno: Annotated[Int | None, Label(), Means("positive errno")] = None
    error: Annotated[Text | None, Label(), Means("name of the error, such as ENOSPC")] = None
    count: Annotated[
        Int | None, Delta("calls"), Spoken("syscall error", "failed syscall", "failed system call", "system call error")
    ] = None
    cgroup_id: Annotated[Int | None, Label(), Unsigned64()] = None
    device_number: Annotated[
        Text | None,
        Label(),
        Means("major:minor of the file system of the call's file; NULL: the call names a path or no file"),
    ] = None
