"""Storms of new processes: programs that do hardly anything but start others."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence

from kernelsight.diagnosis.candidate import Candidate
from kernelsight.diagnosis.contention import is_burst
from kernelsight.diagnosis.families import Family, families, most_children
from kernelsight.diagnosis.hypothesis import hypothesis
from kernelsight.diagnosis.model import Entity, Proposal
from kernelsight.diagnosis.processes import named, processes
from kernelsight.diagnosis.scene import Row, Run, Scene, grouped, runs

START_S = 1e-3
"""What it takes to start a program and to end it: fork, exec, the pages of its libraries, exit."""
START_THREAD_S = 5e-5
"""The same of a thread: clone, a stack, exit, and a switch to it and back.

A C++ program that does nothing else used 13.1 s of CPU for 237,325 of them.
"""
WORKS_S = 10 * START_THREAD_S
"""CPU time from which on a thread has a job."""
COSTLY = 0.1
"""Of one CPU, what starting must take to be costly by itself."""
FORKS_PER_S = 30.0
"""Children a second of one program that are worth a look; a service that starts a script for a request has fewer."""
HARDLY_LIVES_MS = 20.0
"""A child that lives no longer does nothing but start and end."""
SHORT_LIFE_MS = 100.0
"""A child that lives longer has a job."""
RELATED = 0.25
"""Of the processes of a program that have children, the share whose own parent is one, if they start each other."""
MOST = 0.5
"""Of the children of a program, those of one process, from which on it is the one that starts them."""
MET = 0.2
"""Of the samples, the share that meets one of the children: they live for less than the time between two samples."""
_FORKS = frozenset({"fork", "vfork", "clone", "clone3"})


@hypothesis("fork_storm")
def they_only_start_others(scene: Scene) -> Iterable[Candidate]:
    """One program starts processes or threads all the time, and they end as soon as they have begun."""
    if not scene.rows("sched_process"):
        yield from _by_samples(scene)
    for family in scene.once(families):
        for run in runs(scene.per_second(family.rows, "forks"), lambda forks: forks >= FORKS_PER_S):
            yield _candidate(scene, family, run)
    yield from _of_threads(scene)


def _candidate(scene: Scene, family: Family, run: Run) -> Candidate:
    rows = scene.within(family.rows, run)
    pid, most = most_children(rows)
    forks, exits, lived_ms = (sum(row[c] or 0 for row in rows) for c in ("forks", "exits", "child_lifetime_ms"))
    # Other shells of the machine may have started each other, and have no part in what one of them does.
    each_other = most < MOST * forks and _are_related(scene, rows)
    first = _oldest(scene, family, pid) if each_other else pid
    parent = named(scene, first) if first in scene.once(processes) else Entity("process", str(first), family.comm)
    life_ms = lived_ms / max(exits, 1)
    rate = forks / run.seconds
    candidate = Candidate("fork_storm", parent, scene.at(run.first), (parent,))
    candidate.suffering_s = forks * START_S
    candidate.check(f"{rate:.0f} children a second", rate >= FORKS_PER_S, 1.5, 4.0)
    own = most >= FORKS_PER_S * run.seconds
    candidate.check("one process starts them, or they start each other", own or each_other, 0.0, 7.0)
    candidate.check("it goes on, or was more than a burst", not is_burst(scene, run), 0.0, 8.0)
    candidate.check("starting them is costly by itself", rate * START_S >= COSTLY, 1.0, 1.0)
    if each_other:
        # How long these live says nothing: they start more of their kind as long as they do, and init ends them.
        candidate.check("those that it starts start more of their kind", each_other, 2.5, 0.0)
    else:
        candidate.check("they end as fast as they come", exits >= 0.5 * forks, 0.5, 2.0)
        candidate.check(f"they live for {life_ms:.0f} ms, no time for a job", life_ms <= SHORT_LIFE_MS, 0.5, 4.0)
        candidate.check("they hardly live", life_ms <= HARDLY_LIVES_MS, 1.0, 1.5)
    grandchildren = _started_by_others(scene, family, run)
    candidate.check("they start no other programs, as a compiler does", grandchildren <= 0.5 * forks, 0.5, 2.5)
    refused = [
        row
        for row in scene.within(scene.rows("syscall_error"), run)
        if row["comm"] == family.comm and row["error"] == "EAGAIN" and row["syscall_name"] in _FORKS
    ]
    if refused:
        candidate.check("a limit refuses it more of them", bool(refused), 2.0, 0.0)
    candidate.step(
        f"{family.comm} started {forks} processes in {run.seconds} s",
        scene.evidence("sched_process", rows, "forks", "sum"),
    )
    candidate.step(
        f"{exits} of them ended, after {life_ms:.1f} ms on average",
        scene.evidence("sched_process", rows, "exits", "sum"),
        scene.evidence("sched_process", rows, "child_lifetime_ms", "sum"),
    )
    candidate.step(
        "it wanted more than a limit allows: fork failed with EAGAIN",
        scene.evidence("syscall_error", refused, "count", "sum"),
    )
    return _concluded(candidate)


def _of_threads(scene: Scene) -> Iterator[Candidate]:
    """Processes that start threads of their own which end as soon as they have begun."""
    started = [row for row in scene.rows("sched_process") if row["threads_started"]]
    for rows in grouped(started, "pid").values():
        for run in runs(scene.per_second(rows, "threads_started"), lambda threads: threads * START_THREAD_S >= COSTLY):
            yield _starts_threads(scene, scene.within(rows, run), run)


def _starts_threads(scene: Scene, rows: Sequence[Row], run: Run) -> Candidate:
    parent = named(scene, rows[0]["pid"])
    threads = sum(row["threads_started"] for row in rows)
    ran_s = sum(row["cpu_time_ms"] or 0 for row in rows) / 1e3
    candidate = Candidate("fork_storm", parent, scene.at(run.first), (parent,))
    candidate.suffering_s = threads * START_THREAD_S
    rate = threads / run.seconds
    candidate.check(f"{rate:.0f} threads a second", rate * START_THREAD_S >= COSTLY, 2.0, 4.0)
    each_us = 1e6 * ran_s / threads
    candidate.check(f"{each_us:.0f} µs of CPU for each, no time for a job", ran_s <= WORKS_S * threads, 2.0, 5.0)
    candidate.check("it goes on, or was more than a burst", not is_burst(scene, run), 0.0, 8.0)
    candidate.step(
        f"{parent.name} ({parent.id}) started {threads} threads in {run.seconds} s",
        scene.evidence("sched_process", rows, "threads_started", "sum"),
    )
    candidate.step(
        f"with all of them it used {ran_s:.1f} s of CPU", scene.evidence("sched_process", rows, "cpu_time_ms", "sum")
    )
    return _concluded(candidate)


def _concluded(candidate: Candidate) -> Candidate:
    parent = candidate.culprit
    candidate.refuted_by = f"as many processes begin without {parent.name}"
    candidate.outlook = "starting and ending processes goes on taking its share of the CPUs"
    candidate.actions = (
        Proposal("stop", parent, f"stop {parent.name}, or let it wait between two children"),
        Proposal("look", parent, f"see why what {parent.name} starts ends at once"),
    )
    return candidate


def _are_related(scene: Scene, rows: Iterable[Row]) -> bool:
    """Whether those who have children are each other's children; one whose parent has ended is init's by then."""
    known = scene.once(processes)
    pids = {row["pid"] for row in rows}
    sampled = [known[pid] for pid in pids if pid in known and known[pid].samples]
    related = [one for one in sampled if one.parent in pids or (one.parent == 1 and len(one.samples) == 1)]
    return len(related) > 1 and len(related) >= RELATED * len(sampled)


def _oldest(scene: Scene, family: Family, pid: int) -> int:
    """Where children have children: the one of the program that they all come from."""
    of_program = [
        one
        for one in scene.once(processes).values()
        if one.samples and one.comm == family.comm and one.group_id == family.group
    ]
    return min(of_program, key=lambda one: (one.samples[0]["start_ticks"] or 0, one.pid)).pid if of_program else pid


def _started_by_others(scene: Scene, family: Family, run: Run) -> int:
    """What short-lived processes of other programs of the same control group started."""
    known = scene.once(processes)
    rows = [
        row
        for other in scene.once(families)
        if other.group == family.group and other.comm != family.comm
        for row in scene.within(other.rows, run)
        if row["pid"] not in known or len(known[row["pid"]].samples) <= 1
    ]
    return sum(row["forks"] for row in rows)


def _by_samples(scene: Scene) -> Iterator[Candidate]:
    """Without tracers: the machine counts forks, and the parent is whose children are new in every sample."""
    rates = {
        scene.second(change.after): change.of("forks") / change.seconds
        for key, changes in scene.changes("cpu").items()
        if key == (-1,)
        for change in changes
    }
    for run in runs(rates, lambda forks: forks >= FORKS_PER_S):
        young = _seen_once(scene, run)
        if not young:
            continue
        pid = max(young, key=lambda one: (len(young[one]), -one))
        parent = named(scene, pid)
        rows = scene.within((row for row in scene.rows("cpu") if row["cpu"] == -1), run)
        rate = run.total(rates) / run.seconds
        candidate = Candidate("fork_storm", parent, scene.at(run.first), (parent,))
        candidate.suffering_s = rate * run.seconds * START_S
        candidate.check("starting them is costly by itself", rate * START_S >= COSTLY, 2.0, 1.0)
        most = len(young[pid]) >= 0.5 * sum(len(of) for of in young.values())
        candidate.check("most new processes are of one parent", most, 1.0, 2.5)
        often = len({scene.second(row) for row in young[pid]}) >= MET * run.seconds
        candidate.check("it has another child whenever one looks again", often, 1.0, 2.5)
        candidate.step(
            f"{rate:.0f} tasks a second began on the machine", scene.evidence("cpu", rows, "forks", "increase")
        )
        candidate.step(
            f"{len(young[pid])} children of {parent.name} ({parent.id}) were seen, each of them once",
            scene.evidence("process", young[pid], "pid", "count"),
        )
        yield _concluded(candidate)


def _seen_once(scene: Scene, run: Run) -> Mapping[int, Sequence[Row]]:
    """Processes that only one sample has met, within a stretch, by their parents."""
    found: dict[int, list[Row]] = {}
    for parent, first in scene.once(_short_lived):
        if scene.second(first) in run:
            found.setdefault(parent, []).append(first)
    return found


def _short_lived(scene: Scene) -> Sequence[tuple[int, Row]]:
    """Processes that only one sample has met, with their parents; where those have ended, the first of their kind."""
    samples = scene.rows("process")
    last = samples[-1]["timestamp"] if samples else 0
    known = {row["pid"] for row in samples}
    oldest: dict[tuple[str, str], Row] = {}
    for row in samples:
        kind = (row["comm"], row["cgroup"])
        if kind not in oldest or (row["start_ticks"] or 0) < (oldest[kind]["start_ticks"] or 0):
            oldest[kind] = row
    found: list[tuple[int, Row]] = []
    for of in scene.series("process").values():
        first = of[0]
        if len(of) > 1 or first["timestamp"] >= last:
            continue
        parent = first["ppid"] if (first["ppid"] or 0) > 1 and first["ppid"] in known else None
        parent = parent or oldest[first["comm"], first["cgroup"]]["pid"]
        if parent != first["pid"]:
            found.append((parent, first))
    return found
