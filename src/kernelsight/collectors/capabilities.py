"""What this machine and this user allow, and which collectors can therefore run: what `kernelsight doctor` prints.

What can be tried is tried; versions and settings are shown beside it for whoever reads the result.
"""

from __future__ import annotations

import os
from collections.abc import Iterator
from dataclasses import dataclass, replace
from pathlib import Path

from kernelsight.collectors import privileges
from kernelsight.collectors.base import Availability, Host, list_collectors
from kernelsight.collectors.bpf import abi, probe
from kernelsight.collectors.delay_accounting import DelayAccounting
from kernelsight.collectors.files import read_once
from kernelsight.collectors.hidepid import limits_of_hidepid
from kernelsight.collectors.perf import PerfCollector
from kernelsight.collectors.procfs.cgroup_paths import find_mounts
from kernelsight.collectors.procfs.pressure import PressureCollector
from kernelsight.errors import SourceUnavailableError
from kernelsight.quantities import quantity

_AS_ROOT = "run as root, or with these capabilities (docs/collectors.md)"
_MOUNT_TRACEFS = "sudo mount -t tracefs tracefs /sys/kernel/tracing"
_INSTEAD = "the tracers use tracepoints or perf events instead"


@dataclass(frozen=True, slots=True)
class Fact:
    """One thing that was looked at."""

    name: str
    works: bool | None
    """None: neither good nor bad, or not to be told."""
    says: str
    remedy: str = ""
    """What to do to make it work; empty where it works, or where nothing helps."""


@dataclass(frozen=True, slots=True)
class Examination:
    """All that was found out."""

    facts: tuple[Fact, ...]
    sources: tuple[Availability, ...]

    @property
    def missing(self) -> tuple[str, ...]:
        """The collectors that run by default but have no source that can run here."""
        wanted = dict.fromkeys(source.registered.name for source in self.sources if source.registered.default)
        running = {source.registered.name for source in self.sources if source.used}
        return tuple(name for name in wanted if name not in running)


def examine(host: Host) -> Examination:
    """Look at everything; takes about a second, and changes nothing."""
    return Examination(tuple(find_facts(host)), tuple(list_collectors(host)))


def find_facts(host: Host) -> Iterator[Fact]:
    """What there is to say of the machine and the user, the collectors aside."""
    system = os.uname()
    yield Fact("kernel", None, f"{system.release} {system.machine}")
    yield _rights()
    yield _others(host)
    yield from _settings(host)
    yield _btf()
    library = _libbpf()
    yield library
    if library.works:
        yield from _bpf(host)
    yield from _perf(host)
    yield from _accounting(host)


def _rights() -> Fact:
    wanted = (*privileges.BPF, *privileges.OTHERS_PROCESSES)
    lacking = privileges.missing(wanted)
    if lacking:
        return Fact("capabilities", False, f"user {os.geteuid()} has no {privileges.listed(lacking)}", _AS_ROOT)
    return Fact("capabilities", True, f"user {os.geteuid()} has {privileges.listed(wanted)}")


def _others(host: Host) -> Fact:
    hidden = limits_of_hidepid(host.proc)
    if hidden:
        says, _, remedy = hidden[0].partition("; ")
        return Fact("processes of others", False, says, remedy)
    return Fact("processes of others", True, f"{host.proc} hides none of them from this user")


def _settings(host: Host) -> Iterator[Fact]:
    yield _lockdown(host.sys / "kernel/security/lockdown")
    for name, meaning in (
        ("unprivileged_bpf_disabled", "0 lets other users load a few kinds of program, none of them ours"),
        ("perf_event_paranoid", "0 or less lets other users count whole CPUs"),
    ):
        value = _text(host.proc / "sys/kernel" / name)
        yield Fact(f"kernel.{name}", None, f"{value} ({meaning})" if value else "this kernel does not have it")
    if _has_tracefs(host):
        yield Fact("tracefs", True, "mounted")
    else:
        yield Fact("tracefs", False, "not mounted; only BPF on tracepoints by number needs it", _MOUNT_TRACEFS)


def _lockdown(file: Path) -> Fact:
    said = _text(file)
    if not said:
        return Fact("kernel lockdown", None, f"no {file}: none, or securityfs is not mounted")
    level = said.partition("[")[2].partition("]")[0]
    if level != "confidentiality":
        return Fact("kernel lockdown", True, level)
    return Fact("kernel lockdown", False, f"{level}: no program may read the kernel", "boot with lockdown=integrity")


def _btf() -> Fact:
    try:
        size = abi.KERNEL_BTF.stat().st_size
    except OSError as error:
        says = f"{abi.KERNEL_BTF}: {error.strerror}"
        return Fact("kernel BTF", False, says, "use a kernel built with CONFIG_DEBUG_INFO_BTF")
    return Fact("kernel BTF", True, f"{abi.KERNEL_BTF}, {quantity(size, 'B')}")


def _libbpf() -> Fact:
    try:
        library = abi.library()
    except SourceUnavailableError as error:
        reason, _, remedy = str(error).rpartition(": ")
        return Fact("libbpf", False, reason, remedy)
    return Fact("libbpf", True, library.libbpf_version_string().decode())


def _bpf(host: Host) -> Iterator[Fact]:
    for kind in probe.SERVES:
        fact = _tried(kind, host)
        if not fact.works and privileges.missing(privileges.BPF):
            yield replace(fact, name="BPF programs")  # and so on for every kind
            return
        yield fact


def _tried(kind: probe.Kind, host: Host) -> Fact:
    name = probe.SERVES[kind]
    try:
        probe.attempt(kind)
    except SourceUnavailableError as error:
        refusal = str(error).partition(": ")[2] or str(error)
        return Fact(name, False, *_explained(kind, refusal, host))
    return Fact(name, True, "tried")


def _explained(kind: probe.Kind, refusal: str, host: Host) -> tuple[str, str]:
    """What a refusal means, and the remedy if there is one."""
    if kind == "kprobe" and not (host.sys / "bus/event_source/devices/kprobe").exists():
        return f"this kernel has no kprobes (CONFIG_KPROBE_EVENTS); {_INSTEAD}", ""
    if kind == "tracepoint" and not _has_tracefs(host):
        return "tracefs is not mounted", _MOUNT_TRACEFS
    says, _, remedy = refusal.partition("; ")
    if kind == "fentry" and not remedy:
        return f"the kernel allows no function tracing; {_INSTEAD} ({says})", ""
    return says, remedy


def _has_tracefs(host: Host) -> bool:
    try:
        return "events" in os.listdir(host.sys / "kernel/tracing")  # noqa: PTH208 - is_dir hides what is forbidden
    except PermissionError:  # the directory below the mount is for everybody
        return True
    except FileNotFoundError:
        return False


def _perf(host: Host) -> Iterator[Fact]:
    try:
        counters = PerfCollector(host)
    except SourceUnavailableError as error:
        reason, _, remedy = str(error).partition("; ")
        yield Fact("perf counters", False, reason, remedy)
        return
    lacking = counters.limitations
    counters.close()
    yield Fact("perf counters", True, "tried")
    yield Fact("perf hardware counters", not lacking, "; ".join(lacking) or "tried")


def _accounting(host: Host) -> Iterator[Fact]:
    delays = DelayAccounting(host.proc, enable=False).reason
    yield Fact("delay accounting", not delays, delays or "on", "sudo sysctl kernel.task_delayacct=1" if delays else "")
    try:
        PressureCollector(host).close()
    except SourceUnavailableError as error:
        reason, _, remedy = str(error).partition("; ")
        yield Fact("pressure stall information", False, reason, remedy)
    else:
        yield Fact("pressure stall information", True, "read")
    mounts = find_mounts(host)
    versions = sorted({mount.version for mount in mounts})
    yield Fact("control groups", bool(mounts), " and ".join(f"version {v}" for v in versions) or "none are mounted")


def _text(file: Path) -> str:
    said = read_once(file)
    return said.decode().strip() if said else ""
