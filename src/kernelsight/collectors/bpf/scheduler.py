"""Long waits for a CPU, and what every process used of the scheduler (bpf/scheduler.h)."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from struct import Struct

from kernelsight.collectors.base import Host, collector
from kernelsight.collectors.bpf.threads import MS, Feature, join
from kernelsight.collectors.text import fixed_name
from kernelsight.collectors.time_namespace import kernel_monotonic_ns
from kernelsight.events.declare import Event
from kernelsight.events.scheduler import Sched, SchedProcess

_QUEUE_WAIT = Struct("<2Qq5I16s16s4x")  # struct queue_wait
_SCANNED = Struct("<5QqII16s")  # struct scanned
_PID = Struct("<I")
_CPU, _VOLUNTARY = 0, 2  # of its amounts (struct usage)
_FAMILY = Struct("<10Qq16s")  # struct family


@dataclass(slots=True)
class _Use:
    """One process within one second; times in ns."""

    comm: bytes
    cgroup: int
    cpu: int = 0
    delay: int = 0
    voluntary: int = 0
    involuntary: int = 0
    wakeups: int = 0
    forks: int = 0
    started: int = 0
    execs: int = 0
    exits: int = 0
    lifetime: int = 0
    threads: int = 0
    most_voluntary: int = 0
    most_cpu: int = 0

    def add(self, cpu: int, delay: int, voluntary: int, involuntary: int, wakeups: int) -> None:
        """Add what one of its threads used."""
        self.cpu += cpu
        self.delay += delay
        self.voluntary += voluntary
        self.involuntary += involuntary
        self.wakeups += wakeups


def parse_queue_waits(records: Iterable[bytes], to_epoch: Callable[[int], int]) -> Iterator[Sched]:
    """Records of the ring buffer as events."""
    for record in records:
        ran_at, latency, cgroup, pid, tid, cpu, prev_state, prev_tid, comm, prev_comm = _QUEUE_WAIT.unpack(record)
        yield Sched(
            timestamp=to_epoch(ran_at),
            pid=pid,
            tid=tid,
            cpu=cpu,
            latency_ns=latency,
            prev_state=prev_state,
            next_pid=tid,
            comm=fixed_name(comm),
            prev_pid=prev_tid,
            prev_comm=fixed_name(prev_comm),
            cgroup_id=cgroup,
        )


def parse_use(scanned: bytes, pids: bytes, families: bytes, now: int) -> Iterator[SchedProcess]:
    """Fold the scanned threads and the drained map of families into one event a process."""
    used: dict[int, _Use] = {}
    for *amounts, cgroup, pid, _tid, comm in _SCANNED.iter_unpack(scanned):
        use = used.setdefault(pid, _Use(comm, cgroup))
        use.add(*amounts)
        use.threads += 1
        use.most_voluntary = max(use.most_voluntary, amounts[_VOLUNTARY])
        use.most_cpu = max(use.most_cpu, amounts[_CPU])
    for (pid,), family in zip(_PID.iter_unpack(pids), _FAMILY.iter_unpack(families), strict=True):
        *amounts, forks, started, execs, exits, lifetime, cgroup, comm = family
        use = used.setdefault(pid, _Use(comm, cgroup))
        use.add(*amounts)
        use.forks, use.started, use.execs, use.exits, use.lifetime = forks, started, execs, exits, lifetime
    return (_event(pid, use, now) for pid, use in used.items())


def _event(pid: int, use: _Use, now: int) -> SchedProcess:
    switches = use.voluntary + use.involuntary
    return SchedProcess(
        timestamp=now,
        pid=pid,
        comm=fixed_name(use.comm),
        context_switches=switches,
        voluntary_switches=use.voluntary,
        involuntary_switches=use.involuntary,
        wakeups=use.wakeups,
        cpu_time_ms=use.cpu / MS,
        avg_timeslice_us=use.cpu / switches / 1000 if switches else None,
        runqueue_ms=use.delay / MS,
        forks=use.forks,
        threads_started=use.started,
        execs=use.execs,
        exits=use.exits,
        child_lifetime_ms=use.lifetime / MS,
        active_threads=use.threads,
        most_voluntary_switches=use.most_voluntary,
        most_cpu_time_ms=use.most_cpu / MS,
        cgroup_id=use.cgroup,
    )


@collector("scheduler", source="bpf", emits=(Sched, SchedProcess))
class Scheduler:
    """Waits for a CPU over `runqueue_threshold_ms` (10), and every process's switches, CPU time and children."""

    def __init__(self, host: Host) -> None:
        self._threads = join(Feature.RUN_QUEUE, host)
        loaded = self._threads.object
        self._ring = loaded.ring("queue_waits")
        self._families = loaded.map("families")
        self._scanned_at = loaded.variable("scanned_at")
        self._losses = [loaded.variable(name) for name in ("queue_waits_lost", "families_lost", "threads_missed")]
        self._lost_at_start = self._lost()
        self._scanned_at.value = kernel_monotonic_ns()
        list(self._take(now=0))  # what was used before we came

    def fileno(self) -> int:
        """Readable when so many long waits are there that they should not stay until the next second."""
        return self._ring.epoll_fd

    def drain(self, to_epoch: Callable[[int], int]) -> Iterable[Event]:
        """The long waits that ended since the last time."""
        return parse_queue_waits(self._ring.consume(), to_epoch)

    def collect(self, now: int) -> Iterable[Event]:
        """What every process that did anything used since the last time."""
        return self._take(now)

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

    def _take(self, now: int) -> Iterator[SchedProcess]:
        began = kernel_monotonic_ns()
        scanned = self._threads.object.iterate("scan_threads")
        # Only now: the scan itself must still take threads for new that began since the one before.
        self._scanned_at.value = began
        return parse_use(scanned, *self._families.drain(), now)
