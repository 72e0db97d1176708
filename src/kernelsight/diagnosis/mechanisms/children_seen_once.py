"""Storms of new processes without tracers: the machine counts forks, and every sample meets other children."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass

from kernelsight.diagnosis.contention import of_all_cpus
from kernelsight.diagnosis.faults.fork_storm import FORK_STORM
from kernelsight.diagnosis.forking import COSTLY_SHARE, FORKS_PER_S, START_S, concluded
from kernelsight.diagnosis.mechanism import Check, Explanation, Mechanism, claim
from kernelsight.diagnosis.model import Entity
from kernelsight.diagnosis.processes import named
from kernelsight.diagnosis.threshold import Threshold
from kernelsight.diagnosis.window import Interval, Window, runs
from kernelsight.events.process import Process
from kernelsight.events.scheduler import Cpu, SchedProcess
from kernelsight.quantities import number

MOST_SHARE = Threshold(
    0.5,
    "share of the new processes",
    because="judged: from so many on, their parent is who starts processes on this machine",
)
MET_SHARE = Threshold(
    0.2,
    "share of the seconds",
    because="judged: children live for less than the time between two samples, so that few samples meet one",
)


@dataclass(frozen=True, slots=True)
class Parent:
    """The parent of most processes that only one sample has met, in a stretch of seconds with very many forks."""

    parent: Entity
    run: Interval
    forks_per_s: float
    """Tasks that began on the machine."""
    children: int
    """Of this parent, that only one sample has met."""
    all_children: int
    """Of every parent."""
    seconds_met: int
    """Seconds in which a sample met one of its children for the first time."""
    rows: Sequence[Cpu]
    children_rows: Sequence[Process]

    @property
    def cost_share(self) -> float:
        """Of one CPU, what starting them takes."""
        return self.forks_per_s * START_S


def measure(window: Window) -> Iterable[Parent]:
    """The stretches in which very many tasks begin, where no tracer says whose they are."""
    if window.rows(SchedProcess):
        return
    rates = {window.second(delta.after): delta.of(Cpu.forks) / delta.seconds for delta in of_all_cpus(window)}
    for run in runs(rates, lambda forks: forks >= FORKS_PER_S):
        young = _seen_once(window, run)
        if young:
            pid = max(young, key=lambda one: (len(young[one]), -one))
            yield Parent(
                named(window, pid),
                run,
                forks_per_s=run.total(rates) / run.seconds,
                children=len(young[pid]),
                all_children=sum(map(len, young.values())),
                seconds_met=len({window.second(row) for row in young[pid]}),
                rows=window.within((row for row in window.rows(Cpu) if row.cpu == -1), run),
                children_rows=young[pid],
            )


def _seen_once(window: Window, run: Interval) -> Mapping[int, Sequence[Process]]:
    """Processes that only one sample has met, within a stretch, by their parents."""
    suspect: dict[int, list[Process]] = {}
    for parent, first in window.once(_short_lived):
        if window.second(first) in run:
            suspect.setdefault(parent, []).append(first)
    return suspect


def _short_lived(window: Window) -> Sequence[tuple[int, Process]]:
    """Processes that only one sample has met, with their parents; where those have ended, the first of their kind."""
    samples = window.rows(Process)
    last = samples[-1].timestamp if samples else 0
    known = {row.pid for row in samples}
    oldest: dict[tuple[str | None, str | None], Process] = {}
    for row in samples:
        kind = (row.comm, row.cgroup)
        if kind not in oldest or (row.start_ticks or 0) < (oldest[kind].start_ticks or 0):
            oldest[kind] = row
    suspect: list[tuple[int, Process]] = []
    for of in window.series(Process).values():
        first = of[0]
        if len(of) > 1 or first.timestamp >= last:
            continue
        parent = first.ppid if (first.ppid or 0) > 1 and first.ppid in known else None
        parent = parent or oldest[first.comm, first.cgroup].pid
        if parent is not None and parent != first.pid:
            suspect.append((parent, first))
    return suspect


def explain(window: Window, suspect: Parent) -> Explanation:
    """Starting and ending them takes its share of the CPUs."""
    parent = suspect.parent
    return concluded(
        window,
        parent,
        suspect.run,
        suspect.forks_per_s * suspect.run.seconds * START_S,
        claim(
            f"{suspect.forks_per_s:.0f} tasks a second began on the machine",
            window.evidence(suspect.rows, Cpu.forks, "increase"),
        ),
        claim(
            f"{suspect.children} children of {parent.name} ({parent.id}) were seen, each of them once",
            window.evidence(suspect.children_rows, Process.pid, "count"),
        ),
        does="starts processes all the time that end at once",
        detail=f"the machine starts {number(round(suspect.forks_per_s))} tasks a second",
    )


MECHANISM = Mechanism[Parent](
    fault=FORK_STORM,
    summary="Very many tasks begin, and every sample meets other children of one parent (without tracers).",
    measure=measure,
    checks=(
        Check(
            id="costly",
            says="starting them is costly by itself",
            holds=lambda suspect: suspect.cost_share >= COSTLY_SHARE,
            supports=2.0,
            refutes=1.0,
            because="judged: the machine counts threads as well, whose start costs less, so that it refutes little",
        ),
        Check(
            id="one_parent",
            says="most new processes are of one parent",
            holds=lambda suspect: suspect.children >= MOST_SHARE * suspect.all_children,
            supports=1.0,
            refutes=2.5,
            because="judged: else several programs start others, as on a machine that builds or tests",
        ),
        Check(
            id="met_often",
            says="it has another child whenever one looks again",
            holds=lambda suspect: suspect.seconds_met >= MET_SHARE * suspect.run.seconds,
            supports=1.0,
            refutes=2.5,
            because="judged: a parent whose children are met seldom starts few of the tasks that begin",
        ),
    ),
    explain=explain,
)
