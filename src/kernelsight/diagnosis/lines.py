"""Who stands in line: threads and processes of one program that end each other's waits for a lock."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field

from kernelsight.diagnosis.cpu_time import Use, cpu_use
from kernelsight.diagnosis.scene import NS_PER_S, Run, Scene, grouped_by, runs
from kernelsight.diagnosis.waiting import Edge, waiting
from kernelsight.events.scheduler import SchedProcess, Wait

USER_LOCKS = frozenset({"futex", "futex_wait", "futex_waitv", "futex_time64", "semop", "semtimedop"})
"""System calls in which one waits for a lock that lives in a program."""
_NO_LOCKS = frozenset({"vfork", "clone", "clone3", "execve", "execveat", "exit", "exit_group"})
"""Calls with uninterruptible waits for a child or for one's own threads, and not for a lock."""
FOR_WORK = frozenset({
    "read", "readv", "recvfrom", "recvmsg", "recvmmsg", "poll", "ppoll", "select", "pselect6",
    "epoll_wait", "epoll_pwait", "epoll_pwait2", "accept", "accept4",
})  # fmt: skip
"""Calls in which a program waits to be told what to do."""
FOR_TIME = frozenset({"nanosleep", "clock_nanosleep"})
SOMEBODY = 1.0
"""Threads that stand in line on average from which on there always is one."""


@dataclass(slots=True)
class Line:
    """The waits of one program for locks of one sort that it lets go of itself."""

    program: tuple[str, int | None]
    """Name and control group."""
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
        """The processes that stand in it."""
        return frozenset(edge.pid for edge in self.handed_on)


def waited(edges: Iterable[Edge], second: Callable[[Wait], int]) -> dict[int, float]:
    """Seconds that were waited, by second, each wait in the seconds in which it lasted.

    A row has the waits that ended within a second, some of which may have begun long before. Whose turn it is
    stands in line until it has a CPU, too: where a lock changes hands all the time, that is most of it.
    """
    found: dict[int, float] = {}
    for edge in edges:
        for row in edge.rows:
            last = second(row)
            seconds = max(1, math.ceil((row.max_wait_ns or 0) / NS_PER_S))
            share = ((row.wait_ns or 0) + (row.runqueue_ns or 0)) / NS_PER_S / seconds
            for at in range(max(0, last - seconds + 1), last + 1):
                found[at] = found.get(at, 0.0) + share
    return found


def lines(scene: Scene) -> list[Line]:
    """The lines of a window; none where nobody records who wakes whom. Use with :meth:`Scene.once`."""
    edges = [edge for edge in scene.once(waiting).edges if edge.state != "runnable"]
    program = {edge.pid: (edge.comm, edge.rows[-1].cgroup_id) for edge in edges}
    together: dict[tuple[tuple[str, int | None], bool], Line] = {}
    for edge in edges:
        in_kernel = edge.state == "uninterruptible"
        if edge.waits_in is None or edge.waits_in in _NO_LOCKS or (not in_kernel and edge.waits_in not in USER_LOCKS):
            continue
        own = program[edge.pid]
        if edge.waker_pid and program.get(edge.waker_pid) == own:
            together.setdefault((own, in_kernel), Line(own, in_kernel)).handed_on.append(edge)
    found = [part for line in together.values() for part in _apart(line)]
    standing = {pid: line for line in found if not line.in_kernel for pid in line.pids}
    for edge in edges:
        if edge.waker_pid == 0 and edge.waits_in in USER_LOCKS and edge.pid in standing:
            standing[edge.pid].timed_out.append(edge)
    return found


def _apart(line: Line) -> Iterable[Line]:
    """A line for each process, where none of them ever lets another one go on: they have no lock in common."""
    if not all(edge.is_own for edge in line.handed_on):
        return [line]
    by_process: dict[int, Line] = {}
    for edge in line.handed_on:
        by_process.setdefault(edge.pid, Line(line.program, line.in_kernel)).handed_on.append(edge)
    return by_process.values()


@dataclass(frozen=True, slots=True)
class Stretch:
    """A time in which there always was somebody in a line, and what its program did meanwhile. Times a second."""

    line: Line
    run: Run
    waiting: float
    """Threads that stood in it, on average."""
    handed_on: float
    """Times that one thread let another one go on."""
    timed_out: float
    """Times that a wait ended by itself."""
    passed_on: float | None
    """Of the times that it was handed on, the share in which who did so had waited for the same; None: not known."""
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
    def culprit(self) -> int:
        """The process that let others wait longest; of threads of one process, that one."""
        ended: dict[int, float] = {}
        for edge in self.line.handed_on:
            ended[edge.waker_pid or edge.pid] = ended.get(edge.waker_pid or edge.pid, 0.0) + edge.waited_in(self.run)
        return max(ended, key=lambda pid: (ended[pid], -pid))


def stretches(scene: Scene, line: Line) -> list[Stretch]:
    """When there always was somebody in a line."""
    by_second = waited(line.edges, scene.second)
    return [_stretch(scene, line, run, by_second) for run in runs(by_second, lambda threads: threads >= SOMEBODY)]


def _stretch(scene: Scene, line: Line, run: Run, by_second: Mapping[int, float]) -> Stretch:
    graph = scene.once(waiting)
    pids, handed_on = line.pids, {id(edge) for edge in line.handed_on}
    uses = [use for use in scene.once(cpu_use) if use.pid in pids]
    others = [
        edge for pid in pids for edge in graph.by_waiter.get(pid, ()) if edge.state != "runnable"
    ]  # fmt: skip
    timed = [e for e in others if e.waits_in in FOR_TIME and e.waker_pid == 0]
    blocked = [e for e in others if e.state == "uninterruptible" and id(e) not in handed_on]
    asked = [e for e in others if e.waits_in in FOR_WORK and e.state == "interruptible"]

    def a_second(amounts: Iterable[float]) -> float:
        return sum(amounts) / run.seconds

    return Stretch(
        line,
        run,
        waiting=a_second(value for second, value in by_second.items() if second in run),
        handed_on=a_second(edge.count_in(run) for edge in line.handed_on),
        timed_out=a_second(edge.count_in(run) for edge in line.timed_out),
        passed_on=_passed_on(scene, line, run),
        ran=a_second(use.ran_in(run) for use in uses),
        queued=a_second(use.queued_in(run) for use in uses),
        timed=a_second(edge.waited_in(run) for edge in timed),
        blocked=a_second(edge.waited_in(run) for edge in blocked),
        asked=a_second(edge.waited_in(run) for edge in asked),
        busiest=_busiest(scene, uses, run),
    )


def _passed_on(scene: Scene, line: Line, run: Run) -> float | None:
    rows = [row for edge in line.handed_on for row in scene.within(edge.rows, run)]
    known = [row for row in rows if row.passed_on is not None and row.waits_in in USER_LOCKS]
    if not known:
        return None
    return float(sum(row.passed_on or 0 for row in known) / max(sum(row.count or 0 for row in known), 1))


def _busiest(scene: Scene, uses: Sequence[Use], run: Run) -> float | None:
    """How unequal the threads of a process are (or the processes of a program): in how often they sleep, and in CPU."""
    rows = [row for use in uses for row in scene.within(use.rows, run) if isinstance(row, SchedProcess)]
    processes = list(grouped_by(rows, lambda row: row.pid).values())
    if len(processes) > 1:
        slept = [float(sum(row.voluntary_switches or 0 for row in of)) for of in processes]
        return max(slept) / max(sum(slept), 1.0)
    sleeps = [(row.most_voluntary_switches, row.voluntary_switches) for row in rows]
    times = [(row.most_cpu_time_ms, row.cpu_time_ms) for row in rows]
    return max((share for share in (_share(sleeps), _share(times)) if share is not None), default=None)


def _share(amounts: Iterable[tuple[float | None, float | None]]) -> float | None:
    """Of what all threads did, the share of the one that did most, by pairs of both; None where it is not known."""
    known = [(most, whole) for most, whole in amounts if most is not None and whole]
    return float(sum(most for most, _ in known) / sum(whole for _, whole in known)) if known else None
