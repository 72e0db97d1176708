"""Performance counters of whole CPUs, through perf_event_open(2)."""

from __future__ import annotations

import ctypes
import errno
import fcntl
import os
import struct
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from kernelsight.collectors.base import Host, collector
from kernelsight.collectors.privileges import Capability
from kernelsight.errors import SourceUnavailableError
from kernelsight.events.perf import Perf

# include/uapi/linux/perf_event.h
_HARDWARE, SOFTWARE_TYPE = 0, 1
_TIME_ENABLED, _TIME_RUNNING, _GROUP = 1, 2, 8
_CLOSE_ON_EXEC = 8
_DISABLED = 1
_ENABLE, _WHOLE_GROUP = 0x2400, 1  # PERF_EVENT_IOC_ENABLE, PERF_IOC_FLAG_GROUP
_ATTR = struct.Struct("=IIQQQQQIIQ")  # PERF_ATTR_SIZE_VER0, which every kernel takes
_SYSCALL_NUMBERS = {"x86_64": 298, "aarch64": 241, "riscv64": 241}

Counter = tuple[str, int]
"""A column of :class:`Perf`, and the kernel's number for it."""

SOFTWARE: Sequence[Counter] = (("task_clock", 1), ("page_faults", 2), ("context_switches", 3), ("cpu_migrations", 4))

# Counters that are divided by each other stand in one group: the kernel counts a group at the same time.
HARDWARE: Sequence[Sequence[Counter]] = (
    (("cycles", 0), ("instructions", 1)),
    (("cache_references", 2), ("cache_misses", 3)),
    (("branch_misses", 5),),
)

# The kernel's answers for a counter that this machine or this CPU lacks.
_NO_SUCH_COUNTER = {errno.ENOENT, errno.EOPNOTSUPP, errno.EINVAL, errno.ENXIO}


@dataclass(frozen=True, slots=True)
class Reading:
    """One read of a group: for how long it was wanted and really counted (ns), and what it counted."""

    enabled: int = 0
    running: int = 0
    values: tuple[int, ...] = ()


def parse_reading(data: bytes, counters: int) -> Reading | None:
    """Parse ``struct read_format`` with PERF_FORMAT_GROUP; None when the kernel gave none (its CPU is gone)."""
    if len(data) != 8 * (3 + counters):
        return None
    count, enabled, running, *values = struct.unpack(f"={3 + counters}Q", data)
    return Reading(enabled, running, tuple(values)) if count == counters else None


@dataclass(slots=True)
class Extrapolation:
    """Totals of a group that shares its hardware with others, so that each runs a part of the time.

    Each interval is scaled by itself: scaling the totals would let a counter run backwards when the
    share changes.
    """

    totals: list[int]
    last: Reading

    @classmethod
    def of(cls, counters: int) -> Extrapolation:
        """Start at zero."""
        return cls([0] * counters, Reading(values=(0,) * counters))

    def add(self, reading: Reading) -> float | None:
        """Add what was counted since the last reading.

        Returns:
            the share of the time that was counted (1.0: all of it); None when no time has passed. An
            interval in which nothing ran is made up for by the next one that did.
        """
        enabled = reading.enabled - self.last.enabled
        running = reading.running - self.last.running
        if enabled <= 0:
            return None
        if running <= 0:
            return 0.0
        for place, (now, before) in enumerate(zip(reading.values, self.last.values, strict=True)):
            self.totals[place] += (now - before) * enabled // running
        self.last = reading
        return min(running / enabled, 1.0)


def parse_cpu_list(text: str) -> list[int]:
    """Parse the kernel's list of CPUs, such as ``0-2,5``."""
    cpus: list[int] = []
    for part in text.strip().split(","):
        first, _, last = part.partition("-")
        if first:
            cpus.extend(range(int(first), int(last or first) + 1))
    return cpus


def online_cpus(sys: Path) -> list[int]:
    """The CPUs that are online now.

    Raises:
        SourceUnavailableError: sysfs does not say.
    """
    file = sys / "devices/system/cpu/online"
    try:
        return parse_cpu_list(file.read_text())
    except OSError as error:
        raise SourceUnavailableError(f"{file}: {error.strerror}; is sysfs mounted?") from error


@dataclass(slots=True)
class _Group:
    columns: tuple[str, ...]
    fds: list[int]

    def read(self) -> Reading | None:
        return parse_reading(os.read(self.fds[0], 8 * (3 + len(self.columns))), len(self.columns))

    def close(self) -> None:
        while self.fds:
            os.close(self.fds.pop())


@dataclass(slots=True)
class _Cpu:
    """One CPU; its totals outlive the counters when it goes offline and comes back."""

    groups: list[_Group] = field(default_factory=list)
    counted: dict[tuple[str, ...], Extrapolation] = field(default_factory=dict)


class Opener:
    """perf_event_open(2), which the C library has no function for."""

    def __init__(self) -> None:
        machine = os.uname().machine
        if machine not in _SYSCALL_NUMBERS:
            raise SourceUnavailableError(f"the number of perf_event_open is not known for {machine}")
        self._number = _SYSCALL_NUMBERS[machine]
        self._libc = ctypes.CDLL(None, use_errno=True)
        self._libc.syscall.restype = ctypes.c_long

    def open(self, kind: int, config: int, cpu: int, group_fd: int, *, period: int = 0) -> int:
        """Open one counter of a whole CPU; the first of a group waits to be enabled.

        With a period it overflows whenever it has counted so many.

        Raises:
            OSError: with the kernel's errno.
        """
        read_format = _GROUP | _TIME_ENABLED | _TIME_RUNNING
        attr = _ATTR.pack(kind, _ATTR.size, config, period, 0, read_format, _DISABLED * (group_fd < 0), 0, 0, 0)
        everyone = ctypes.c_int(-1)
        fd: int = self._libc.syscall(
            ctypes.c_long(self._number),
            attr,
            everyone,
            ctypes.c_int(cpu),
            ctypes.c_int(group_fd),
            ctypes.c_ulong(_CLOSE_ON_EXEC),
        )
        if fd < 0:
            code = ctypes.get_errno()
            raise OSError(code, os.strerror(code))
        return fd

    def group(self, kind: int, counters: Sequence[Counter], cpu: int) -> _Group:
        """Open counters that are counted together: those of them that exist (none, maybe).

        Raises:
            SourceUnavailableError: this user may not, or has no descriptors left.
        """
        group = _Group((), [])
        for column, config in counters:
            try:
                fd = self.open(kind, config, cpu, group.fds[0] if group.fds else -1)
            except OSError as error:
                if error.errno in _NO_SUCH_COUNTER:
                    continue
                group.close()
                if error.errno == errno.ENODEV:  # the CPU went offline just now
                    return _Group((), [])
                raise refusal(error) from error
            group.fds.append(fd)
            group.columns += (column,)
        if group.fds:
            # Enabled only now: in a group that runs already, a counter of another PMU (task_clock beside the
            # other software counters) stays at zero (seen on 6.18).
            fcntl.ioctl(group.fds[0], _ENABLE, _WHOLE_GROUP)
        return group


def refusal(error: OSError) -> SourceUnavailableError:
    """One clear line for a counter that the kernel refused, with what to do about it."""
    if error.errno in (errno.EACCES, errno.EPERM):
        return SourceUnavailableError(
            "this user may not count whole CPUs; run as root or with CAP_PERFMON, "
            "or set sysctl kernel.perf_event_paranoid=0"
        )
    if error.errno == errno.ENOSYS:
        return SourceUnavailableError("this kernel has no perf events (CONFIG_PERF_EVENTS)")
    if error.errno in (errno.EMFILE, errno.ENFILE):
        return SourceUnavailableError(
            "too few file descriptors for the counters of all CPUs; raise the limit (ulimit -n)"
        )
    return SourceUnavailableError(f"perf_event_open: {error.strerror}")


@collector(source="perf", emits=(Perf,), needs=(Capability.CAP_PERFMON,))
class PerfCollector:
    """Cycles, instructions, cache and branch misses, switches, migrations and faults of every CPU.

    Software counters are always there; hardware counters are NULL where the machine has no PMU, as
    in most virtual machines. Of a whole CPU the kernel's `task_clock` is the time it was observed,
    idle or not. Where the PMU has fewer counters than are wanted, the kernel takes turns; values are
    then scaled up and `scaling` says by how much. A CPU that goes offline has no rows until it comes
    back, and goes on counting from where it was.
    """

    def __init__(self, host: Host) -> None:
        self._sys = host.sys
        self._opener = Opener()
        self._cpus: dict[int, _Cpu] = {}
        self._open: set[int] = set()
        try:
            self._follow_hotplug()
        except SourceUnavailableError:
            self.close()
            raise
        if not any(cpu.groups for cpu in self._cpus.values()):
            raise SourceUnavailableError("this kernel offers no perf counter of any kind")

    @property
    def limitations(self) -> Sequence[str]:
        """The counters that no CPU has here."""
        counted = {column for cpu in self._cpus.values() for group in cpu.groups for column in group.columns}
        lacking = [column for group in (SOFTWARE, *HARDWARE) for column, _ in group if column not in counted]
        return (
            [f"{', '.join(lacking)}: this machine does not count them; most virtual machines do not"] if lacking else []
        )

    def collect(self, now: int) -> Iterable[Perf]:
        """One event for each CPU that is online."""
        self._follow_hotplug()
        return [event for cpu in sorted(self._open) if (event := self._sample(cpu, now)) is not None]

    def close(self) -> None:
        """Close all counters."""
        for cpu in list(self._open):
            self._leave(cpu)

    def _follow_hotplug(self) -> None:
        online = set(online_cpus(self._sys))
        for cpu in self._open - online:
            self._leave(cpu)
        for cpu in online - self._open:
            self._enter(cpu)

    def _enter(self, number: int) -> None:
        cpu = self._cpus.setdefault(number, _Cpu())
        self._open.add(number)
        for kind, counters in ((SOFTWARE_TYPE, SOFTWARE), *((_HARDWARE, group) for group in HARDWARE)):
            group = self._opener.group(kind, counters, number)
            if not group.fds:
                continue
            cpu.groups.append(group)
            known = cpu.counted.setdefault(group.columns, Extrapolation.of(len(group.columns)))
            known.last = Reading(values=(0,) * len(group.columns))

    def _leave(self, number: int) -> None:
        for group in self._cpus[number].groups:
            group.close()
        self._cpus[number].groups.clear()
        self._open.discard(number)

    def _sample(self, number: int, now: int) -> Perf | None:
        cpu = self._cpus[number]
        event = Perf(now, cpu=number)
        shares: list[float] = []
        for group in cpu.groups:
            reading = group.read()
            if reading is None:
                self._leave(number)
                return None
            counted = cpu.counted[group.columns]
            share = counted.add(reading)
            if share is not None:
                shares.append(share)
            for column, total in zip(group.columns, counted.totals, strict=True):
                setattr(event, column, total)
        event.scaling = min(shares, default=None)
        return event if cpu.groups else None
