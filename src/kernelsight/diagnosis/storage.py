"""Processes that waited for storage, and programs that used it.

No source says which process a request of a device is from. But a process is charged with what it reads
and dirties (Documentation/filesystems/proc.rst, io), and each of its waits that a completed request
ended is an edge of the wait-for graph.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

from kernelsight.diagnosis.devices import Device
from kernelsight.diagnosis.identity import ProgramId, process_entity
from kernelsight.diagnosis.mechanism import claim
from kernelsight.diagnosis.model import Entity, Evidence, Step
from kernelsight.diagnosis.processes import ancestors, named, processes, program_of
from kernelsight.diagnosis.seconds import Seconds
from kernelsight.diagnosis.threshold import Threshold
from kernelsight.diagnosis.waiting import Edge, waiting
from kernelsight.diagnosis.waiting import shown as shown_edges
from kernelsight.diagnosis.window import CounterDelta, Interval, Window, samples_of
from kernelsight.events.fields import Metric
from kernelsight.events.pressure import Pressure
from kernelsight.events.process import Process
from kernelsight.events.scheduler import BlockedTask, Wait
from kernelsight.linux.syscalls import (
    CHANGES_METADATA,
    CHANGES_SIZE,
    COMMITS,
    COPIES,
    ENTERS_RING,
    EXECS,
    GETS_ASYNCHRONOUS_IO,
    MAKES_NAMES,
    OPENS,
    READS,
    READS_NAMES,
    REMOVES_NAMES,
    WRITES,
)
from kernelsight.signals.rules.pressure import IO_STALLED_PERCENT
from kernelsight.signals.rules.processes import WAITS_FOR_IO_MS_PER_S

COMMIT_CALLS = COMMITS
FILE_CALLS = (
    COMMITS
    | READS
    | WRITES
    | COPIES
    | OPENS
    | CHANGES_SIZE
    | MAKES_NAMES
    | READS_NAMES
    | REMOVES_NAMES
    | CHANGES_METADATA
    | EXECS
    | {"close", "fadvise64", "readahead", "mount", "umount2", "io_submit", "page_fault"}
)
"""Calls (and faults) whose uninterruptible waits are for storage, if what ends them is."""
_ASYNCHRONOUS = GETS_ASYNCHRONOUS_IO | ENTERS_RING
"""Calls in which a program waits, interruptibly, for requests that it has handed in."""
_SERVES_STORAGE = re.compile(r"(kworker|jbd2|xfs|btrfs|loop\d|md\d|dm|kdmflush|kcryptd|nvme|scsi|mmcqd|flush).*")
_JOURNAL_OF = re.compile(r"jbd2/(?P<device>[\w!-]+)-\d+|xfs[\w-]*/(?P<xfs>[\w!-]+)")
_PARTITION = re.compile(r"p\d+|(?<!\d)\d+")
SUFFERS_SHARE = Threshold(
    WAITS_FOR_IO_MS_PER_S / 1000 / 5,
    "share of the time",
    because="judged: a fifth of what the signal `process_waits_for_io` tells at, which must not tell of every copy; a "
    "program that waits for storage a tenth of the time is a tenth slower by it, which is noticed",
)
SLOWED = Threshold(
    3.0,
    "times as long a wait as before",
    because="judged: a wait of a disk varies by a factor of two with where its head is, seldom by three on average",
)
STALLED_SHARE = Threshold(
    0.75 * IO_STALLED_PERCENT / 100,
    "share of the time (PSI, io, some)",
    because="judged: three quarters of what the signal `io_stall` tells at, and of some task instead of all "
    "(Documentation/accounting/psi.rst): it only says that some process waits, where nothing records which",
)
LEAST_BEFORE = Threshold(
    5, "waits", because="judged: of fewer waits before, their mean does not say how long one usually is"
)
SHORTEST_SHARE = Threshold(
    0.3,
    "share of a device's latency",
    because="judged: a wait that is shorter on average was for another device, or for the page cache",
)


@dataclass(slots=True)
class Waiter:
    """One process that waited for storage: seconds asleep, and waits, by second; of all its threads together."""

    pid: int
    comm: str
    program: ProgramId
    edges: list[Edge] = field(default_factory=list)
    waited: Seconds = field(default_factory=Seconds)
    commits: Seconds = field(default_factory=Seconds)
    """The part of it that is waits for commits."""
    counted: Seconds = field(default_factory=Seconds)
    commits_counted: Seconds = field(default_factory=Seconds)
    journals: set[str] = field(default_factory=set)
    """The devices whose journal it waited for."""
    deltas: list[CounterDelta[Process]] = field(default_factory=list)
    """Its samples, where they say how long it waited and the wait-for graph does not."""

    @property
    def entity(self) -> Entity:
        """It, as a finding names it."""
        return process_entity(self.pid, self.comm)

    def waited_in(self, run: Interval) -> float:
        """Seconds within a stretch."""
        return self.waited.within(run)

    def commits_in(self, run: Interval) -> float:
        """Seconds within a stretch, waiting for commits."""
        return self.commits.within(run)

    def mean_s(self, run: Interval) -> float:
        """How long one wait took within a stretch; 0 where that is not known."""
        return _mean(self.waited, self.counted, run)

    def commit_s(self, run: Interval) -> float:
        """How long one wait for a commit took within a stretch."""
        return _mean(self.commits, self.commits_counted, run)

    def is_slowed(self, run: Interval) -> bool:
        """Whether it waits for a good part of the time, or for some of it and each time much longer than before."""
        share = self.waited_in(run) / run.seconds
        if share >= SUFFERS_SHARE or share < SUFFERS_SHARE / 2:
            return share >= SUFFERS_SHARE
        before = run.before
        usual = self.mean_s(before) if self.counted.within(before) >= LEAST_BEFORE else None
        return usual is not None and self.mean_s(run) >= SLOWED * usual


@dataclass(slots=True)
class User:
    """The processes of one program, and what they read and wrote (dirtied, if through the page cache)."""

    program: ProgramId
    members: list[Sequence[CounterDelta[Process]]]
    """The samples of each process."""
    read: Seconds = field(default_factory=Seconds)
    written: Seconds = field(default_factory=Seconds)

    @property
    def comm(self) -> str:
        """Its name."""
        return self.program.comm

    def read_in(self, run: Interval) -> float:
        """Bytes read within a stretch."""
        return self.read.within(run)

    def written_in(self, run: Interval) -> float:
        """Bytes written within a stretch."""
        return self.written.within(run)

    def moved_by_children(self, window: Window, run: Interval) -> bool:
        """Whether most of it was read and written by children that ended within a stretch."""
        deltas = [delta for member in self.members for delta in window.during(member, run)]
        return sum(map(_moved_by_children, deltas)) > sum(map(_moved, deltas)) / 2

    def started(self, window: Window, pid: int) -> bool:
        """Whether a process descends from one of its processes."""
        pids = {member[-1].after.pid for member in self.members}
        return any(process.pid in pids for process in ancestors(window, pid))

    def largest(self, window: Window, run: Interval) -> Entity:
        """Its process that read and wrote most within a stretch."""
        best = max(self.members, key=lambda deltas: sum(map(_moved, window.during(deltas, run))))
        return named(window, best[-1].after.pid or 0)

    def shown_reads(self, window: Window, run: Interval) -> list[Evidence | None]:
        """The rows that show what its processes read, of those that moved most."""
        return self._shown(window, run, Process.read_bytes, Process.children_read_bytes)

    def shown_writes(self, window: Window, run: Interval) -> list[Evidence | None]:
        """The rows that show what its processes wrote, of those that moved most."""
        return self._shown(window, run, Process.write_bytes, Process.children_write_bytes)

    def _shown(
        self, window: Window, run: Interval, own: Metric[Process], of_children: Metric[Process]
    ) -> list[Evidence | None]:
        moved = [window.during(deltas, run) for deltas in self.members]
        most = sorted(filter(None, moved), key=lambda within: -sum(map(_moved, within)))[:3]
        return [
            window.evidence(samples_of(within), metric, "increase")
            for within in most
            for metric in (own, of_children)
            if metric is own or any(delta.of(metric) for delta in within)
        ]


def waiters(window: Window) -> Mapping[int, Waiter]:
    """The processes that waited for storage, by pid; use with :meth:`Window.once`. Threads of the kernel are none."""
    found: dict[int, Waiter] = {}
    known = window.once(processes)
    if not window.rows(Wait):
        return _by_delays(window)
    for edge in window.once(waiting).edges:
        process = known.get(edge.pid)
        if not _is_for_storage(edge) or (process is not None and process.is_kernel_thread):
            continue
        waiter = found.setdefault(edge.pid, Waiter(edge.pid, edge.comm, program_of(window, edge.pid, edge.comm)))
        waiter.edges.append(edge)
        if (journal := journal_of(edge.waker_comm)) is not None:
            waiter.journals.add(journal)
        waiter.waited.add_all(edge.waited)
        waiter.counted.add_all(edge.counted)
        if edge.waits_in in COMMIT_CALLS:
            waiter.commits.add_all(edge.waited)
            waiter.commits_counted.add_all(edge.counted)
    return found


def waiters_by_program(window: Window) -> Mapping[ProgramId, Sequence[Waiter]]:
    """The same by the program that they belong to; use with :meth:`Window.once`."""
    programs: dict[ProgramId, list[Waiter]] = {}
    for waiter in window.once(waiters).values():
        programs.setdefault(waiter.program, []).append(waiter)
    return programs


def users(window: Window) -> Sequence[User]:
    """The programs that read or wrote anything; use with :meth:`Window.once`. Not the kernel's threads.

    What was done by children that ended before a row told of it counts for the program that started them.
    """
    found: dict[ProgramId, User] = {}
    known = window.once(processes)
    for (pid, _), deltas in window.deltas(Process).items():
        if pid is None or not deltas or (pid in known and known[pid].is_kernel_thread):
            continue
        program = program_of(window, pid, deltas[-1].after.comm)
        _add(window, found.setdefault(program, User(program, [])), deltas)
    return list(found.values())


def user_of(window: Window, program: ProgramId, members: Sequence[Sequence[CounterDelta[Process]]]) -> User:
    """Some processes of a program, and what they read and wrote."""
    user = User(program, [])
    for deltas in members:
        _add(window, user, deltas)
    return user


def _add(window: Window, user: User, deltas: Sequence[CounterDelta[Process]]) -> None:
    user.members.append(deltas)
    for delta in deltas:
        second = window.second(delta.after)
        written = max(0.0, delta.of(Process.write_bytes) - delta.of(Process.cancelled_write_bytes))
        user.read.add(second, delta.of(Process.read_bytes) + delta.of(Process.children_read_bytes))
        user.written.add(second, written + delta.of(Process.children_write_bytes))


def slowed(window: Window, run: Interval) -> list[Waiter]:
    """The processes that wait too long for storage, longest first."""
    waiting_now = [waiter for waiter in window.once(waiters).values() if waiter.is_slowed(run)]
    return sorted(waiting_now, key=lambda waiter: -waiter.waited_in(run))


def waiting_for(window: Window, device: Device, run: Interval) -> list[Waiter]:
    """The processes that wait too long for storage that may be on a device, longest first."""
    least = SHORTEST_SHARE * device.load(run).latency_s
    elsewhere = {row.pid for row in window.rows(BlockedTask) if row.device and not is_of(row.device, device.name)}
    return [
        waiter
        for waiter in slowed(window, run)
        if waiter.pid not in elsewhere
        and (bool(waiter.deltas) or waiter.mean_s(run) >= least)
        and all(is_of(journal, device.name) for journal in waiter.journals)
    ]


def shown_waits(window: Window, waiter: Waiter, run: Interval, *, commits: bool = False) -> Evidence | None:
    """The rows that show how long a process waited within a stretch."""
    if waiter.deltas:
        rows = samples_of(window.during(waiter.deltas, run))
        return window.evidence(rows, Process.blkio_delay_ns, "increase")
    edges = [edge for edge in waiter.edges if not commits or edge.waits_in in COMMIT_CALLS]
    return shown_edges(window, edges, run)


def wait_claims(window: Window, waiters: Sequence[Waiter], run: Interval) -> list[Step | None]:
    """What a path says of processes that waited for storage within a stretch: of the three that waited longest."""
    return [
        claim(
            f"{waiter.comm} ({waiter.pid}) waited {waiter.waited_in(run):.1f} s of {run.seconds} s for storage"
            + (f", {1e3 * waiter.mean_s(run):.1f} ms each time" if waiter.mean_s(run) else ""),
            shown_waits(window, waiter, run),
        )
        for waiter in waiters[:3]
    ]


def stalled_share(window: Window, run: Interval) -> float:
    """Of the time, how long some task stalled on I/O, by the kernel's own account (PSI); 0 where it has none."""
    within = window.during(window.deltas(Pressure).get(("io", "system"), ()), run)
    return sum(delta.of(Pressure.some_total_us) for delta in within) / 1e6 / run.seconds


def stall_claim(window: Window, device: Device, run: Interval) -> Step | None:
    """What a path says of tasks that stalled on I/O, where it is not known who they were."""
    rows = window.within(window.series(Pressure).get(("io", "system"), ()), run)
    stalled = window.evidence(rows, Pressure.some_total_us, "increase")
    if stalled is None or stalled.value <= 0:
        return None
    return claim(f"tasks stalled on I/O while {device.name} was busy", stalled)


def journal_of(comm: str | None) -> str | None:
    """The device (or partition) that a journal's thread is named after."""
    match = _JOURNAL_OF.match(comm or "")
    return match[match.lastgroup].replace("!", "/") if match and match.lastgroup else None


def _is_for_storage(edge: Edge) -> bool:
    if edge.waits_in in _ASYNCHRONOUS:
        return not edge.waker_pid
    served = not edge.waker_pid or bool(_SERVES_STORAGE.match(edge.waker_comm or ""))
    return edge.state == "uninterruptible" and edge.waits_in in FILE_CALLS and served


def _by_delays(window: Window) -> Mapping[int, Waiter]:
    """From the delays that the kernel counts for each process, where it does."""
    found: dict[int, Waiter] = {}
    for (pid, _), deltas in window.deltas(Process).items():
        comm = str(deltas[-1].after.comm) if deltas else "?"
        waiter = Waiter(pid, comm, program_of(window, pid, comm), deltas=list(deltas))
        for delta in deltas:
            waiter.waited.add(window.second(delta.after), delta.of(Process.blkio_delay_ns) / 1e9)
        found[pid] = waiter
    return found


def is_of(device: str, whole: str) -> bool:
    """Whether a device is another one or a partition of it."""
    rest = device.removeprefix("/dev/").removeprefix(whole)
    return not rest or bool(_PARTITION.fullmatch(rest) and device.removeprefix("/dev/").startswith(whole))


def _moved(delta: CounterDelta[Process]) -> float:
    return delta.of(Process.read_bytes) + delta.of(Process.write_bytes) + _moved_by_children(delta)


def _moved_by_children(delta: CounterDelta[Process]) -> float:
    return delta.of(Process.children_read_bytes) + delta.of(Process.children_write_bytes)


def _mean(waited: Seconds, counted: Seconds, run: Interval) -> float:
    count = counted.within(run)
    return waited.within(run) / count if count else 0.0
