"""Long waits for a CPU, and what every process used of the scheduler (bpf/scheduler.h)."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from operator import add

import msgspec

from kernelsight.collectors.base import Host, collector
from kernelsight.collectors.bpf.btf import Btf
from kernelsight.collectors.bpf.columns import Columns, Filler, made
from kernelsight.collectors.bpf.layout import Layout, Records
from kernelsight.collectors.bpf.threads import MS, Feature, join
from kernelsight.collectors.time_namespace import kernel_monotonic_ns
from kernelsight.events.declare import Event
from kernelsight.events.scheduler import Sched, SchedProcess
from kernelsight.events.unsigned import wrap_u64
from kernelsight.linux.runtimes import collects_garbage

QUEUE_WAITS = Columns(Sched, "queue_wait", stamp="ran_at", next_pid=made(int, "tid"))


def _ms(ns: int) -> float:
    """To the microsecond: the digits behind it say nothing, and would take most of what the value takes on disk."""
    return round(ns / MS, 3)


def _timeslice_us(cpu_ns: int, *switches: int) -> float | None:
    return round(cpu_ns / sum(switches) / 1000, 1) if any(switches) else None


PROCESSES = Columns(
    SchedProcess,
    "scanned",
    "family",
    context_switches=made(add, "voluntary_switches", "involuntary_switches"),
    cpu_time_ms=made(_ms, "cpu_ns"),
    avg_timeslice_us=made(_timeslice_us, "cpu_ns", "voluntary_switches", "involuntary_switches"),
    runqueue_ms=made(_ms, "delay_ns"),
    child_lifetime_ms=made(_ms, "lifetime_ns"),
    most_cpu_time_ms=made(_ms, "most_cpu_ns"),
    collector_cpu_ms=made(_ms, "collector_cpu_ns"),
    cgroup_id=made(wrap_u64, "cgroup_id"),
)
"""Of a process: what its threads used (struct usage), what its family did (struct family), and what is found here."""


class _Scanned(msgspec.Struct, gc=False):
    """A thread: what of its record is not simply added up."""

    usage_cpu_ns: int
    usage_voluntary_switches: int
    cgroup_id: int
    pid: int
    comm: bytes
    thread_comm: bytes


class _Family(msgspec.Struct, gc=False):
    """A process that has children or had threads: what of it is not added up."""

    cgroup_id: int
    comm: bytes


@dataclass(slots=True)
class _Use:
    """One process within one second; times in ns."""

    pid: int
    comm: bytes
    cgroup_id: int
    usage: Sequence[int]
    family: Sequence[int]
    active_threads: int = 0
    most_voluntary_switches: int = 0
    most_cpu_ns: int = 0
    collector_cpu_ns: int = 0


class Folding:
    """Puts the scanned threads and the drained map of families together, one event a process.

    A new member of struct usage is summed over the threads; it and one of struct family are columns by their names.
    """

    def __init__(self, types: Btf) -> None:
        self.scanned, self.family = types.layout("scanned"), types.layout("family")
        of_thread, ended = self.scanned.nested("usage"), self.family.nested("ended")
        own = [name for name in self.family.names if name not in (*ended, "cgroup_id", "comm")]
        usage = [name.removeprefix("usage_") for name in of_thread]
        self._of_threads, self._threads = self.scanned.struct(of_thread), Records(self.scanned, _Scanned)
        self._ended, self._own = self.family.struct(ended), self.family.struct(own)
        self._families = Records(self.family, _Family)
        self._nothing, self._no_family = (0,) * len(usage), (0,) * len(own)
        numbers = (
            "pid",
            "cgroup_id",
            "active_threads",
            "most_voluntary_switches",
            "most_cpu_ns",
            "collector_cpu_ns",
            *usage,
            *own,
        )
        self._fill = Filler(PROCESSES, [Layout.of_values("process", self.family["comm"], *numbers)])

    def events(self, scanned: bytes, pids: Sequence[int], families: bytes, now: int) -> list[SchedProcess]:
        """One event for every process of which there is something."""
        used: dict[int, _Use] = {}
        for amounts, thread in zip(self._of_threads.iter_unpack(scanned), self._threads.each(scanned), strict=True):
            use = used.get(thread.pid)
            if use is None:
                use = used[thread.pid] = _Use(thread.pid, thread.comm, thread.cgroup_id, amounts, self._no_family)
            else:
                use.usage = list(map(add, use.usage, amounts))
            use.active_threads += 1
            use.most_voluntary_switches = max(use.most_voluntary_switches, thread.usage_voluntary_switches)
            use.most_cpu_ns = max(use.most_cpu_ns, thread.usage_cpu_ns)
            if thread.thread_comm != thread.comm and collects_garbage(thread.thread_comm):
                use.collector_cpu_ns += thread.usage_cpu_ns
        ended, own, known = (
            self._ended.iter_unpack(families),
            self._own.iter_unpack(families),
            pids,
        )
        for pid, amounts, counts, family in zip(known, ended, own, self._families.each(families), strict=True):
            use = used.get(pid)
            if use is None:
                use = used[pid] = _Use(pid, family.comm, family.cgroup_id, self._nothing, counts)
            use.usage, use.family = list(map(add, use.usage, amounts)), counts
        return self._fill.rows(now, map(_row, used.values()))


def _row(use: _Use) -> tuple[int | bytes, ...]:
    return (
        use.comm, use.pid, use.cgroup_id, use.active_threads, use.most_voluntary_switches, use.most_cpu_ns,
        use.collector_cpu_ns,
        *use.usage, *use.family,
    )  # fmt: skip


@collector(name="scheduler", source="bpf", emits=(Sched, SchedProcess))
class Scheduler:
    """Waits for a CPU over `runqueue_threshold_ms` (10), and every process's switches, CPU time and children."""

    def __init__(self, host: Host) -> None:
        self._threads = join(Feature.RUN_QUEUE, host)
        loaded = self._threads.object
        self._waits = QUEUE_WAITS.of(loaded.types)
        self._folding = Folding(loaded.types)
        self._ring = loaded.ring("queue_waits")
        self._families = loaded.map("families")
        self._scanned_at = loaded.variable("scanned_at")
        self._losses = [loaded.variable(name) for name in ("queue_waits_lost", "families_lost", "threads_missed")]
        self._lost_at_start = self._lost()
        self._scanned_at.value = kernel_monotonic_ns()
        self._take(now=0)  # what was used before we came

    def fileno(self) -> int:
        """Readable when so many long waits are there that they should not stay until the next second."""
        return self._ring.epoll_fd

    def drain(self, to_epoch: Callable[[int], int]) -> Iterable[Event]:
        """The long waits that ended since the last time."""
        return self._waits(to_epoch, self._ring.consume())

    def collect(self, now: int) -> Iterable[Event]:
        """What every process that did anything used since the last time."""
        return self._take(now)

    def discard(self) -> None:
        """Throw away what was used since the last time."""
        self._scan()

    @property
    def lost(self) -> int:
        """Long waits, children and threads that could not be recorded."""
        return self._lost() - self._lost_at_start

    def close(self) -> None:
        """Leave the hooks."""
        self._ring.close()
        self._threads.close()

    def _lost(self) -> int:
        return sum(loss.value for loss in self._losses)

    def _take(self, now: int) -> list[SchedProcess]:
        scanned, pids, families = self._scan()
        return self._folding.events(scanned, self._families.numbers(pids), families, now)

    def _scan(self) -> tuple[bytes, bytes, bytes]:
        """Threads, and processes with children by their pids; what they used since the last scan."""
        began = kernel_monotonic_ns()
        scanned = self._threads.object.iterate("scan_threads")
        # Only now: the scan itself must still take threads for new that began since the one before.
        self._scanned_at.value = began
        return scanned, *self._families.drain()
