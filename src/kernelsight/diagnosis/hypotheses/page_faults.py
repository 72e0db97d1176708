"""Pages that a process asks the kernel for faster than it uses them."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, field

from kernelsight.diagnosis.contention import CPU_TIMES
from kernelsight.diagnosis.families import families, most_children
from kernelsight.diagnosis.hypothesis import Candidate, hypothesis
from kernelsight.diagnosis.memory_use import KIB, PAGE_KB, machine
from kernelsight.diagnosis.model import Entity, How, Proposal
from kernelsight.diagnosis.processes import named
from kernelsight.diagnosis.scene import Change, Row, Run, Scene, runs, samples_of

FAULTS_PER_S = 2560.0
"""Ten mebibytes a second of memory that is asked for anew: who keeps its memory has a few hundred faults."""
MANY_FAULTS_PER_S = 20_000.0
"""A fault takes half a microsecond at least and mostly some, so that these alone take 1 to 10 % of a CPU."""
SYSTEM_SHARE = (0.6, 0.3)
"""Of its CPU time, what a process must spend in the kernel for faults to be what it does, and where they are many."""
SYSTEM_CPU = 0.3
"""Of a CPU, what it must spend there for anybody to feel it: who reads into new buffers as data comes spends less."""
KEPT_SHARE = 0.5
"""Of the pages faulted in, what a process that grows keeps; one that faults for the same memory again keeps none."""
FAULTS_PER_CHILD = 1000.0
"""What it costs to begin a process and to end it: of a fork alone some hundred, of a program some thousand."""
SHORT_LIVED_S = 2
"""Seconds in which a process is seen that is no more than one of many."""
LASTS_S = 5
"""How long a storm lasts at least; to load a program or to fill a buffer is over by then."""


@dataclass(slots=True)
class Faulting:
    """One process and its page faults, by second."""

    entity: Entity
    kind: str
    """The kind of event that counts them."""
    rows: list[Row] = field(default_factory=list)
    by_second: dict[int, float] = field(default_factory=dict)
    of_children: bool = False
    """It is the children of this one that fault, which are too short-lived to be told apart."""

    def add(self, row: Row, second: int) -> None:
        """Count what a row counts."""
        self.rows.append(row)
        self.by_second[second] = self.by_second.get(second, 0.0) + _faults(row)


@hypothesis("page_fault_storm")
def faults_for_the_same_memory(scene: Scene) -> Iterable[Candidate]:
    """One process faults for pages at a high rate without growing, and spends its time in the kernel for it."""
    for one in _faulting(scene):
        for run in runs(one.by_second, lambda rate: rate >= FAULTS_PER_S)[-1:]:
            yield _storm(scene, one, run)


def _faulting(scene: Scene) -> Iterator[Faulting]:
    """The processes by their faults: as traced, else by the samples of processes."""
    if scene.rows("page_fault_stats"):
        traced: dict[int, Faulting] = {}
        for row in scene.rows("page_fault_stats"):
            entity = Entity("process", str(row["pid"]), str(row["comm"] or "?"))
            one = traced.setdefault(row["pid"], Faulting(entity, "page_fault_stats"))
            one.add(row, scene.second(row))
        yield from traced.values()
        yield from _children(scene, traced.values())
        return
    for changes in scene.changes("process").values():
        last = changes[-1].after if changes else None
        if last:
            one = Faulting(Entity("process", str(last["pid"]), str(last["comm"] or "?")), "process")
            one.rows = samples_of(changes)
            for change in changes:
                one.by_second[scene.second(change.after)] = _counted(change) / change.seconds
            yield one


def _children(scene: Scene, traced: Iterable[Faulting]) -> Iterator[Faulting]:
    """The copies that a process makes of itself, each of which faults for the pages that it writes to, and ends."""
    short_lived: dict[str, list[Faulting]] = {}
    for child in traced:
        if len(child.by_second) <= SHORT_LIVED_S:
            short_lived.setdefault(child.entity.name, []).append(child)
    for family in scene.once(families):
        parent = named(scene, most_children(family.rows)[0])
        one = Faulting(parent, "page_fault_stats", of_children=True)
        for child in short_lived.get(family.comm, ()):
            for row in child.rows if child.entity != parent else ():
                one.add(row, scene.second(row))
        yield one


def _faults(row: Row) -> float:
    return float((row["minor_faults"] or 0) + (row["major_faults"] or 0))


def _counted(change: Change) -> float:
    return change.of("minor_faults") + change.of("major_faults")


def _storm(scene: Scene, one: Faulting, run: Run) -> Candidate:
    changes = [] if one.of_children else _samples(scene, one, run)
    seconds = max(sum(change.seconds for change in changes), 1.0)
    user, system = (sum(change.of(name) for change in changes) / 1e3 for name in ("utime_ms", "stime_ms"))
    if one.of_children:  # the times of who has ended are with nobody but the CPUs
        seconds, (user, system) = float(run.seconds), _of_cpus(scene, run)
    faults = run.total(one.by_second)
    candidate = Candidate("page_fault_storm", one.entity, scene.at(run.first), (one.entity,))
    candidate.suffering_s = system
    name = one.entity.name
    rate = faults / run.seconds
    candidate.check(f"{name} has {rate:,.0f} faults a second, for {run.seconds} s", run.seconds >= LASTS_S, 1.5, 5.0)
    in_kernel = not (changes or one.of_children) or (
        system >= SYSTEM_CPU * seconds and system >= SYSTEM_SHARE[rate >= MANY_FAULTS_PER_S] * (user + system)
    )
    candidate.check("it spends much of its time in the kernel", in_kernel, 2.0, 5.0)
    calls = sum(change.of(name) for change in changes for name in ("read_syscalls", "write_syscalls"))
    own = rate >= MANY_FAULTS_PER_S or calls < faults
    candidate.check("what it does in the kernel is not reading and writing", own, 0.5, 7.0)
    candidate.check("it does not keep the memory", _kept_kb(changes) < KEPT_SHARE * faults * PAGE_KB, 1.5, 5.0)
    candidate.check("it is not new processes that fault", _forks(scene, one, run) * FAULTS_PER_CHILD < faults, 0.5, 6.0)
    candidate.check("no page was pushed out for want of memory", not _came_back(scene, run, faults), 0.5, 3.0)
    rows = scene.within(one.rows, run)
    who = f"{'children of ' if one.of_children else ''}{name} ({one.entity.id})"
    how: How = "sum" if one.kind == "page_fault_stats" else "increase"
    candidate.step(
        f"{who} faulted for {faults:,.0f} pages in {run.seconds} s",
        scene.evidence(one.kind, rows, "minor_faults", how),
        scene.evidence(one.kind, rows, "major_faults", how) if any(row["major_faults"] for row in rows) else None,
    )
    if changes:
        samples = samples_of(changes)
        candidate.step(
            f"it spent {system:.1f} of {user + system:.1f} s of CPU time in the kernel",
            scene.evidence("process", samples, "stime_ms", "increase"),
            scene.evidence("process", samples, "utime_ms", "increase"),
        )
        kept = scene.evidence("process", samples, "rss_kb", "slope")
        candidate.step(f"it kept {max(_kept_kb(changes), 0) / KIB:,.0f} MiB of {faults * PAGE_KB / KIB:,.0f} MiB", kept)
    candidate.refuted_by = f"{name} does as much in the same time when it keeps its memory, or uses huge pages"
    candidate.outlook = "it goes on at a fraction of its speed, and its threads wait for each other's mappings"
    candidate.actions = (
        Proposal("look", one.entity, f"let {name} reuse its memory: see where it maps, unmaps or gives pages back"),
        Proposal("renice", one.entity, f"give {name} a lower priority, so that others are not slowed"),
    )
    return candidate


def _samples(scene: Scene, one: Faulting, run: Run) -> Sequence[Change]:
    """What the process did in that stretch, by its samples."""
    found = [
        scene.during(changes, run) for key, changes in scene.changes("process").items() if str(key[0]) == one.entity.id
    ]
    return max(found, key=len, default=[])


def _of_cpus(scene: Scene, run: Run) -> tuple[float, float]:
    """Seconds of CPU time that the whole machine spent in programs and in the kernel."""
    changes = scene.during(scene.changes("cpu").get((-1,), ()), run)
    ticks = {name: sum(change.of(name) for change in changes) for name in CPU_TIMES}
    spent_s = scene.cpus * sum(change.seconds for change in changes) / max(sum(ticks.values()), 1.0)
    return spent_s * (ticks["user"] + ticks["nice"]), spent_s * ticks["system"]


def _kept_kb(changes: Sequence[Change]) -> float:
    if not changes:
        return 0.0
    return float((changes[-1].after["rss_kb"] or 0) - (changes[0].before["rss_kb"] or 0))


def _forks(scene: Scene, one: Faulting, run: Run) -> float:
    """Children that it began; where nothing traces who begins them, those of the whole machine."""
    if scene.rows("sched_process"):
        rows = [row for row in scene.rows("sched_process") if str(row["pid"]) == one.entity.id]
        return float(sum(row["forks"] or 0 for row in scene.within(rows, run)))
    return sum(change.of("forks") for change in scene.during(scene.changes("cpu").get((-1,), ()), run))


def _came_back(scene: Scene, run: Run, faults: float) -> bool:
    """Whether a good part of the faults may be for pages that had been pushed out."""
    whole = scene.once(machine)
    if whole is None:
        return False
    names = ("workingset_refault_anon", "workingset_refault_file", "pswpin")
    return sum(change.of(name) for change in scene.during(whole.changes, run) for name in names) >= faults / 10
