"""Queues for locks: threads and processes of one program that end each other's waits."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field

from kernelsight.diagnosis.cpu_time import Use, cpu_use
from kernelsight.diagnosis.cpu_time import shown as used
from kernelsight.diagnosis.duration import Duration, duration_of
from kernelsight.diagnosis.identity import ProgramId, program_id
from kernelsight.diagnosis.mechanism import claim
from kernelsight.diagnosis.model import Entity, Step
from kernelsight.diagnosis.threshold import Threshold
from kernelsight.diagnosis.waiting import Edge, shown, waiting
from kernelsight.diagnosis.window import NS_PER_S, Interval, Window, grouped_by, runs
from kernelsight.events.scheduler import SchedProcess, Wait
from kernelsight.linux.syscalls import ACCEPTS, EXECS, EXITS, FORKS, POLLS, RECEIVES, SLEEPS, USER_LOCKS

_NO_LOCKS = FORKS - {"fork"} | EXECS | EXITS
"""Calls in which a process waits uninterruptibly for its child or its own threads, and not for a lock."""
FOR_WORK = RECEIVES | POLLS | ACCEPTS
"""Calls in which a program waits to be told what to do."""
FOR_TIME = SLEEPS
PASSED_ON_SHARE = Threshold(
    0.3,
    "share of the releases",
    because="judged: of a contended lock, most releases are by a thread that had waited for it; some threads take it "
    "without ever having to wait",
)
PASSED_ON_TIME = Threshold(
    0.15,
    "share of the time asleep",
    because="measured: 0.29 where a crowd of threads wants one mutex (tests/collectors/bpf/programs, `waits crowd`), "
    "0.04 to 0.07 for machines that qemu emulates, whose threads mostly wait for interrupts",
)
SOMEBODY = Threshold(1, "threads that wait on average", because="calculated: on average there is always one that waits")


@dataclass(slots=True)
class LockQueue:
    """The waits of one program for locks of one sort that the program itself releases."""

    program: ProgramId
    in_kernel: bool
    """For locks of the kernel (uninterruptible), and not for those of the program."""
    handed_on: list[Edge] = field(default_factory=list)
    """Waits that a thread of the program ended."""
    timed_out: list[Edge] = field(default_factory=list)
    """Waits in the same calls that a timer ended: some locks look again every few milliseconds."""

    @property
    def edges(self) -> list[Edge]:
        """All its waits."""
        return [*self.handed_on, *self.timed_out]

    @property
    def pids(self) -> frozenset[int]:
        """The processes that wait in it."""
        return frozenset(edge.pid for edge in self.handed_on)


def waited(edges: Iterable[Edge], second: Callable[[Wait], int]) -> dict[int, float]:
    """Seconds that were waited, by second, each wait in the seconds in which it lasted.

    A row has the waits that ended within a second, some of which may have begun long before. A woken thread still
    queues for a CPU: where a lock changes hands all the time, that is most of the wait.
    """
    suspect: dict[int, float] = {}
    for edge in edges:
        for row in edge.rows:
            last = second(row)
            seconds = max(1, math.ceil((row.max_wait_ns or 0) / NS_PER_S))
            share = ((row.wait_ns or 0) + (row.runqueue_ns or 0)) / NS_PER_S / seconds
            for at in range(max(0, last - seconds + 1), last + 1):
                suspect[at] = suspect.get(at, 0.0) + share
    return suspect


def lock_queues(window: Window) -> list[LockQueue]:
    """The lock queues of a window; none where nobody records who wakes whom. Use with :meth:`Window.once`."""
    edges = [edge for edge in window.once(waiting).edges if edge.state != "runnable"]
    program = {edge.pid: program_id(window, edge.comm, edge.rows[-1].cgroup_id) for edge in edges}
    together: dict[tuple[ProgramId, bool], LockQueue] = {}
    for edge in edges:
        in_kernel = edge.state == "uninterruptible"
        if edge.waits_in is None or edge.waits_in in _NO_LOCKS or (not in_kernel and edge.waits_in not in USER_LOCKS):
            continue
        own = program[edge.pid]
        if edge.waker_pid and program.get(edge.waker_pid) == own:
            together.setdefault((own, in_kernel), LockQueue(own, in_kernel)).handed_on.append(edge)
    queues = [part for queue in together.values() for part in _apart(queue)]
    queue_of = {pid: queue for queue in queues if not queue.in_kernel for pid in queue.pids}
    for edge in edges:
        if edge.waker_pid == 0 and edge.waits_in in USER_LOCKS and edge.pid in queue_of:
            queue_of[edge.pid].timed_out.append(edge)
    return queues


def _apart(queue: LockQueue) -> Iterable[LockQueue]:
    """A queue for each process, where no process ever releases another one: they have no lock in common."""
    if not all(edge.is_own for edge in queue.handed_on):
        return [queue]
    by_process: dict[int, LockQueue] = {}
    for edge in queue.handed_on:
        by_process.setdefault(edge.pid, LockQueue(queue.program, queue.in_kernel)).handed_on.append(edge)
    return by_process.values()


@dataclass(frozen=True, slots=True)
class Queueing:
    """A stretch in which a thread always waited in a lock queue, and what the program did meanwhile.

    Amounts are per second of the stretch.
    """

    queue: LockQueue
    run: Interval
    duration: Duration
    waiting: float
    """Threads that waited in it, on average."""
    handed_on: float
    """Times that one thread released another one."""
    timed_out: float
    """Times that a timer ended a wait."""
    passed_on: float | None
    """Of the releases, the share by a thread that had waited for the same futex; None: not known."""
    passed_on_time: float | None
    """Of the time asleep, the share in waits that ended so; None: not known."""
    ran: float
    """CPUs used."""
    queued: float
    """Threads that waited for a CPU."""
    timed: float
    """Threads that slept for a time."""
    blocked: float
    """Threads that waited for a device or for the kernel."""
    asked: float
    """Threads that waited for work from outside."""
    busiest: float | None
    """Of all that its threads do, the share of the one that does most; None: not known."""

    @property
    def is_passed_on(self) -> bool:
        """Whether most of it is waiting for a lock that goes from one thread to the next.

        Threads may also pass a lock on all the time, each for a moment, and wait for work most of the time.
        """
        often = self.passed_on is not None and self.passed_on >= PASSED_ON_SHARE
        return often and (self.passed_on_time is None or self.passed_on_time >= PASSED_ON_TIME)

    @property
    def working(self) -> float:
        """Threads that may have the lock and do something with it. Where waits end by timers, a sleep is none."""
        of_time = self.timed_out > self.handed_on
        return self.ran + self.queued + self.blocked + (0.0 if of_time else self.timed)

    @property
    def held(self) -> float:
        """Of the time, the share in which a thread runs, sleeps or is blocked, as one that has the lock does."""
        return self.ran + self.blocked + self.timed

    @property
    def idle(self) -> float:
        """Threads that wait for time or for work from outside."""
        return self.timed + self.asked

    @property
    def culprit_pid(self) -> int:
        """The process that let others wait longest; of threads of one process, that one."""
        ended: dict[int, float] = {}
        for edge in self.queue.handed_on:
            ended[edge.waker_pid or edge.pid] = ended.get(edge.waker_pid or edge.pid, 0.0) + edge.waited_in(self.run)
        return max(ended, key=lambda pid: (ended[pid], -pid))


def queueing(window: Window, *, in_kernel: bool) -> Iterator[Queueing]:
    """The stretches in which a thread always waited for a lock of its program, or of the kernel."""
    for queue in window.once(lock_queues):
        if queue.in_kernel == in_kernel:
            by_second = waited(queue.edges, window.second)
            for run in runs(by_second, lambda threads: threads >= SOMEBODY):
                yield _queueing(window, queue, run, by_second)


def _queueing(window: Window, queue: LockQueue, run: Interval, by_second: Mapping[int, float]) -> Queueing:
    graph = window.once(waiting)
    pids, handed_on = queue.pids, {id(edge) for edge in queue.handed_on}
    uses = [use for use in window.once(cpu_use) if use.pid in pids]
    others = [edge for pid in pids for edge in graph.by_waiter.get(pid, ()) if edge.state != "runnable"]
    timed = [edge for edge in others if edge.waits_in in FOR_TIME and edge.waker_pid == 0]
    blocked = [edge for edge in others if edge.state == "uninterruptible" and id(edge) not in handed_on]
    asked = [edge for edge in others if edge.waits_in in FOR_WORK and edge.state == "interruptible"]

    def a_second(amounts: Iterable[float]) -> float:
        return sum(amounts) / run.seconds

    return Queueing(
        queue,
        run,
        duration_of(window, run),
        waiting=a_second(value for second, value in by_second.items() if second in run),
        handed_on=a_second(edge.count_in(run) for edge in queue.handed_on),
        timed_out=a_second(edge.count_in(run) for edge in queue.timed_out),
        passed_on=_passed_on(window, queue, run),
        passed_on_time=_passed_on_time(window, queue, run),
        ran=a_second(use.ran_in(run) for use in uses),
        queued=a_second(use.queued_in(run) for use in uses),
        timed=a_second(edge.waited_in(run) for edge in timed),
        blocked=a_second(edge.waited_in(run) for edge in blocked),
        asked=a_second(edge.waited_in(run) for edge in asked),
        busiest=_busiest(window, uses, run),
    )


def _passed_on(window: Window, queue: LockQueue, run: Interval) -> float | None:
    rows = [row for edge in queue.handed_on for row in window.within(edge.rows, run)]
    known = [
        (row.passed_on, row.count or 0) for row in rows if row.passed_on is not None and row.waits_in in USER_LOCKS
    ]
    if not known:
        return None
    return sum(passed for passed, _ in known) / max(sum(count for _, count in known), 1)


def _passed_on_time(window: Window, queue: LockQueue, run: Interval) -> float | None:
    rows = [row for edge in queue.handed_on for row in window.within(edge.rows, run)]
    known = [
        (row.passed_on_ns, row.wait_ns or 0)
        for row in rows
        if row.passed_on_ns is not None and row.waits_in in USER_LOCKS
    ]
    return sum(passed for passed, _ in known) / max(sum(asleep for _, asleep in known), 1) if known else None


def _busiest(window: Window, uses: Sequence[Use], run: Interval) -> float | None:
    """How unequal the threads of a process are (or the processes of a program): in how often they sleep, and in CPU."""
    rows = [row for use in uses for row in window.within(use.rows, run) if isinstance(row, SchedProcess)]
    processes = list(grouped_by(rows, lambda row: row.pid).values())
    if len(processes) > 1:
        slept = [float(sum(row.voluntary_switches or 0 for row in of)) for of in processes]
        return max(slept) / max(sum(slept), 1.0)
    shares = (
        _share((row.most_voluntary_switches, row.voluntary_switches) for row in rows),
        _share((row.most_cpu_time_ms, row.cpu_time_ms) for row in rows),
    )
    return max((share for share in shares if share is not None), default=None)


def _share(amounts: Iterable[tuple[float | None, float | None]]) -> float | None:
    """Of what all threads did, the share of the one that did most."""
    known = [(most, everything) for most, everything in amounts if most is not None and everything]
    return sum(most for most, _ in known) / sum(everything for _, everything in known) if known else None


def who_waited(window: Window, suspect: Queueing, culprit: Entity, lock: str) -> Iterator[Step | None]:
    """The claims that threads of a program waited for a lock, and that they ended each other's waits."""
    several = len(suspect.queue.pids) > 1
    who = (
        f"{len(suspect.queue.pids)} processes {culprit.name}"
        if several
        else f"threads of {culprit.name} ({culprit.id})"
    )
    run, edges = suspect.run, suspect.queue.edges
    yield claim(
        f"{who} waited {suspect.waiting * run.seconds:.0f} s in {run.seconds} s for {lock}",
        shown(window, edges, run),
        shown(window, edges, run, Wait.runqueue_ns),
    )
    yield claim(
        f"they ended each other's waits {suspect.handed_on:.0f} times a second",
        shown(window, suspect.queue.handed_on, run, Wait.count),
    )


def use_meanwhile(window: Window, suspect: Queueing) -> Step | None:
    """The claim that few of the threads ran meanwhile."""
    uses = [use for use in window.once(cpu_use) if use.pid in suspect.queue.pids]
    most = sorted(uses, key=lambda use: -use.ran_in(suspect.run))[:5]
    return claim(
        f"meanwhile they used {100 * suspect.ran:.0f} % of a CPU, and {suspect.waiting:.1f} of them waited on average",
        *(used(window, use, suspect.run, "ran") for use in most),
    )
