"""The first alert is believed: its subject is taken for the fault, and the process that it names for the culprit."""

from __future__ import annotations

from collections.abc import Sequence

from benchmarks.faultbench.case import Case
from benchmarks.faultbench.run import replayed
from benchmarks.faultbench.submission import Blamed, CaseAnswer, Found
from benchmarks.faultbench.system import LOOKS_BACK_NS, system, window
from benchmarks.faultbench.systems import usage

from kernelsight.events.declare import Event
from kernelsight.events.signal import Signal
from kernelsight.query.times import TimeRange
from kernelsight.signals.listed import listed
from kernelsight.signals.registry import rules

_SEVERITIES = ("critical", "warning")
_OF_RULE = {
    "accept_queue_full": "listen_overflow",
    "blocked_task": "blocked_io",
    "cgroup_forks_refused": "task_limit",
    "cgroup_memory_near_limit": "memory_pressure",
    "cgroup_oom_kills": "oom_kill",
    "cgroup_pids_near_limit": "task_limit",
    "cgroup_refaults": "memory_pressure",
    "cpu_stolen": "cpu_steal",
    "cpu_stolen_from_work": "cpu_steal",
    "descriptors_near_limit": "fd_leak",
    "device_busy": "disk_saturation",
    "device_errors": "io_errors",
    "device_queue_long": "disk_saturation",
    "flush_slow": "fsync_stall",
    "fork_storm": "fork_storm",
    "inodes_low": "inode_exhaustion",
    "interface_full_rx": "bandwidth_saturation",
    "interface_full_tx": "bandwidth_saturation",
    "listen_overflow": "listen_overflow",
    "oom_kill": "oom_kill",
    "oom_kills": "oom_kill",
    "process_waits_for_cpu": "runqueue_contention",
    "process_waits_for_io": "disk_saturation",
    "process_waits_for_memory": "memory_pressure",
    "softirq_bound_cpu": "softirq_load",
    "tiny_time_slices": "context_switch_storm",
    "unclosed_connections": "connection_leak",
}
_OF_STALL = {"cpu": "cpu_saturation", "io": "disk_saturation", "memory": "memory_pressure"}
_OF_KIND = {
    "block": "disk_latency",
    "blocked_task": "lock_contention",
    "cgroup": "cpu_throttling",
    "cpu": "cpu_saturation",
    "filesystem": "disk_full",
    "io_latency": "disk_latency",
    "limit": "kernel_limit",
    "memory": "memory_pressure",
    "network": "packet_loss",
    "packet_drop": "packet_loss",
    "page_fault": "page_fault_storm",
    "page_fault_stats": "page_fault_storm",
    "process": "page_fault_storm",
    "sched": "runqueue_contention",
    "sched_process": "runqueue_contention",
    "syscall": "lock_contention",
    "syscall_error": "kernel_limit",
    "tcp_retransmit": "packet_loss",
    "udp_socket": "packet_loss",
    "vmstat": "memory_pressure",
    "wait": "lock_contention",
}


@system("first alert")
def first_alert(case: Case) -> CaseAnswer:
    """Of the signals of the last minute the most severe, and of these the first, is the answer."""
    events = case.events()
    with replayed(case.path) as database:
        before, end = (_findings(database, events, moment) for moment in (case.before_ns, case.end_ns))
    return CaseAnswer(before=before, end=end)


def _findings(database: str, events: Sequence[Event], end_ns: int) -> list[Found]:
    signals = listed(database, TimeRange(end_ns - LOOKS_BACK_NS, end_ns))
    for severity in _SEVERITIES:
        for signal in signals:
            fault = class_of(signal)
            if signal.severity == severity and fault is not None:
                return [Found(fault, _blamed(signal, fault, window(events, end_ns), end_ns))]
    return []


def class_of(signal: Signal) -> str | None:
    """The class of faults that a person would take a signal for; None where it means none in particular."""
    known = rules().get(signal.rule or "")
    if known is None:
        return None
    if known.kind.name == "pressure":
        return _OF_STALL.get(known.name.split("_", 1)[0])
    return _OF_RULE.get(known.name) or _OF_KIND.get(known.kind.name)


def _blamed(signal: Signal, fault: str, events: Sequence[Event], end_ns: int) -> Blamed:
    """The process or the thing that a signal names; where it names none, the process that computes most."""
    if signal.pid is not None:
        return Blamed("process", str(signal.pid), signal.comm or "")
    if signal.entity:
        kind, _, name = signal.entity.partition("=")
        return Blamed(kind, name, name)
    resource = {"memory_pressure": usage.memory, "disk_saturation": usage.io, "disk_latency": usage.io}
    likeliest = resource.get(fault, usage.cpu)(events, end_ns).findings
    return likeliest[0].culprit if likeliest else Blamed("machine", "machine")
