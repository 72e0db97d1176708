"""What the kernel says in its log: one rule for each kind of message that means trouble."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, NamedTuple

from kernelsight.events.fields import Field
from kernelsight.events.kernel_message import KernelMessage
from kernelsight.events.signal import Severity
from kernelsight.linux.kernel_log.reading import KINDS
from kernelsight.query.filters import Filter
from kernelsight.signals.model import Harm, Measure, Rule, rule
from kernelsight.signals.registry import declare


class _Meant(NamedTuple):
    """What a kind of message means for those who use the machine."""

    severity: Severity
    scope: str
    about: Field[KernelMessage, Any]
    """Column of what it is about."""
    because: str
    harm: Harm | None = None
    healthy: str = ""


_DEVICE, _COMM, _CPU, _SUBJECT = KernelMessage.device, KernelMessage.comm, KernelMessage.cpu, KernelMessage.subject
_KIND = KernelMessage.message_kind
_MEANT: Mapping[str, _Meant] = {
    "io_error": _Meant(
        "warning", "device", _DEVICE, "the block layer has given the request up",
        healthy="a drive without a disk that somebody looks at: until it is left alone",
    ),
    "device_timeout": _Meant(
        "critical", "device", _DEVICE,
        "a driver waits for long before it says so (nvme_core.io_timeout: 30 s), and resets the device",
        Harm("wait", "whoever asked the device has waited for many seconds"),
    ),
    "device_gone": _Meant(
        "info", "device", _DEVICE, "the kernel says so of whatever goes", healthy="a stick is pulled out: once",
    ),
    "raid_degraded": _Meant(
        "warning", "array", _DEVICE, "the next disk that fails loses data",
        healthy="a disk is replaced by intention: until the array is whole again",
    ),
    "filesystem_read_only": _Meant(
        "critical", "device", _DEVICE, "the kernel does so only after an error (ext4(5), errors=remount-ro)",
        Harm("failure", "nobody can write to the file system"),
    ),
    "filesystem_error": _Meant(
        "critical", "device", _DEVICE, "the file system could not write, or read what cannot be",
        Harm("failure", "data is lost or cannot be read"),
    ),
    "server_not_responding": _Meant(
        "critical", "server", _SUBJECT, "the kernel says so after its own retries (nfs(5), timeo, retrans)",
        Harm("wait", "whoever uses the files of the server waits"),
    ),
    "hung_task": _Meant(
        "critical", "program", _COMM, "kernel.hung_task_timeout_secs is 120 s by default",
        Harm("wait", "the task has waited for minutes and cannot be killed"),
    ),
    "soft_lockup": _Meant(
        "critical", "CPU", _CPU,
        "it is said after twice kernel.watchdog_thresh, 20 s by default (admin-guide/lockup-watchdogs.rst)",
        Harm("wait", "nothing else runs on the CPU for many seconds"),
    ),
    "hard_lockup": _Meant(
        "critical", "CPU", _CPU,
        "it is said after kernel.watchdog_thresh, 10 s by default (admin-guide/lockup-watchdogs.rst)",
        Harm("wait", "nothing else runs on the CPU, and it takes no interrupts"),
    ),
    "rcu_stall": _Meant(
        "critical", "machine", _KIND,
        "it is said after rcupdate.rcu_cpu_stall_timeout, 21 s by default (Documentation/RCU/stallwarn.rst)",
        Harm("wait", "whoever waits until the kernel can free something waits for many seconds"),
    ),
    "realtime_throttled": _Meant(
        "warning", "machine", _KIND, "a real-time task wanted all of a CPU; it is said once until the next boot "
        "(sched(7))",
        healthy="a real-time program that computes for a second without a pause: once",
    ),
    "allocation_failed": _Meant(
        "warning", "program", _COMM, "the kernel says so where the caller did not forbid it (mm/page_alloc.c: "
        "warn_alloc)",
        healthy="a driver that asks for many pages in one piece, and then for less: for a moment",
    ),
    "segfault": _Meant(
        "warning", "program", _COMM, "a program that faults has a defect, or its data has",
        healthy="a developer's own program fails: at each try",
    ),
    "kernel_bug": _Meant(
        "critical", "machine", _KIND,
        "the kernel ends the task that met it, with all that it had locked (admin-guide/bug-hunting.rst)",
        Harm("failure", "the task has ended in the kernel, and others may wait for what it had locked"),
    ),
    "kernel_warning": _Meant(
        "info", "place", _SUBJECT, "the kernel met what its authors did not expect, and goes on",
        healthy="a driver with a known flaw that harms nobody: at each boot",
    ),
    "link_down": _Meant(
        "warning", "interface", KernelMessage.interface_name, "nothing passes an interface without a link",
        healthy="a cable that nobody needs is pulled out: once",
    ),
    "transmit_timeout": _Meant(
        "critical", "interface", KernelMessage.interface_name,
        "an interface that sends nothing for the time of its watchdog (5 s) is reset",
        Harm("wait", "nothing was sent for seconds"),
    ),
    "table_full": _Meant(
        "critical", "table", _SUBJECT, "the kernel says so where it refuses what needs one more entry",
        Harm("exhaustion", "packets are dropped, or calls are refused"),
    ),
    "syn_flood": _Meant(
        "warning", "port", KernelMessage.port,
        "the queue of requests for a connection was full; with SYN cookies the server still answers (tcp(7))",
        healthy="a server that is started anew while its clients come back: for a moment",
    ),
    "thermal_throttled": _Meant(
        "warning", "CPU", _CPU, "the CPU slows down until it is cooler; whom that harms, waits for a CPU",
        healthy="a laptop that compiles: for minutes",
    ),
    "memory_error": _Meant(
        "warning", "error", _SUBJECT, "corrected errors of one module become uncorrected ones in time",
        healthy="a cosmic ray: a corrected error once in months",
    ),
    "machine_check": _Meant(
        "warning", "CPU", _CPU, "most are corrected by the hardware, and tell of a part that wears out",
        healthy="a corrected error of a cache: once in months",
    ),
    "bus_error": _Meant(
        "info", "device", _DEVICE, "the link repeats what was lost; many of them make it slow",
        healthy="a device that saves power on its link: all the time",
    ),
    "clock_unstable": _Meant(
        "warning", "machine", _KIND, "each look at the clock becomes a system call, which programs do very often",
        healthy="a virtual machine that was moved: once",
    ),
    "split_lock": _Meant(
        "warning", "program", _COMM, "each such access stops the memory of all CPUs, and the kernel makes it wait "
        "for that",
        healthy="an old game: as long as it runs",
    ),
}  # fmt: skip
NO_TROUBLE = frozenset({"filesystem_mounted", "link_up", "oom_kill"})
"""Kinds without a rule: good news, and what `oom_kill` says of other events."""


def _rule(kind: str, meant: _Meant) -> Rule:
    return rule(
        f"kernel_says_{kind}",
        KernelMessage,
        Measure(of=(KernelMessage.count,), unit="messages/s"),
        scope=meant.scope,
        by=(meant.about,),
        where=(Filter(KernelMessage.message_kind, "=", kind), Filter(KernelMessage.from_kernel, "=", 1)),
        levels={meant.severity: 1},
        clear_after_s=30,
        because=f"{KINDS[kind].meaning[:1].lower()}{KINDS[kind].meaning[1:-1]}: {meant.because}",
        harm=meant.harm,
        healthy=meant.healthy,
        summary="the kernel says: {text}",
    )


declare(__name__, *(_rule(kind, meant) for kind, meant in _MEANT.items()))
