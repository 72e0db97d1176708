"""Pages that a process asks the kernel for faster than it uses them."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, field

from kernelsight.diagnosis.candidate import Candidate
from kernelsight.diagnosis.contention import of_all_cpus, spent_by_cpus
from kernelsight.diagnosis.families import Family, families, most_children
from kernelsight.diagnosis.hypothesis import hypothesis
from kernelsight.diagnosis.memory_use import KIB, PAGE_KB, machine
from kernelsight.diagnosis.model import Entity, How, Proposal
from kernelsight.diagnosis.processes import named, processes
from kernelsight.diagnosis.scene import Change, Row, Run, Scene, grouped, runs, samples_of
from kernelsight.events.scheduler import Cpu

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
READ_IN = 0.5
"""Of the faults, the share that a page is read or swapped in for, from which on it is not new memory that is wanted."""
FAULTS_PER_THREAD = 10.0
"""The same of a thread: its stack, its own variables, an arena of the allocator."""
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


@hypothesis("page_fault_storm")
def faults_for_the_same_memory(scene: Scene) -> Iterable[Candidate]:
    """One process faults for pages at a high rate without growing, and spends its time in the kernel for it."""
    for one in _faulting(scene):
        for run in runs(one.by_second, lambda rate: rate >= FAULTS_PER_S)[-1:]:
            yield _storm(scene, one, run)
    for family in scene.once(families):
        yield from _of_copies(scene, family)


def _faulting(scene: Scene) -> Iterator[Faulting]:
    """The processes by their faults: as traced, else by the samples of processes."""
    if scene.rows("page_fault_stats"):
        traced: dict[int, Faulting] = {}
        for row in scene.rows("page_fault_stats"):
            entity = Entity("process", str(row["pid"]), str(row["comm"] or "?"))
            one = traced.setdefault(row["pid"], Faulting(entity, "page_fault_stats"))
            one.rows.append(row)
            second = scene.second(row)
            one.by_second[second] = one.by_second.get(second, 0.0) + _faults(row)
        yield from traced.values()
        return
    for changes in scene.changes("process").values():
        last = changes[-1].after if changes else None
        if last:
            one = Faulting(Entity("process", str(last["pid"]), str(last["comm"] or "?")), "process")
            one.rows = samples_of(changes)
            for change in changes:
                one.by_second[scene.second(change.after)] = _counted(change) / change.seconds
            yield one


def _faults(row: Row) -> float:
    return float((row["minor_faults"] or 0) + (row["major_faults"] or 0))


def _counted(change: Change) -> float:
    return change.of("minor_faults") + change.of("major_faults")


def _storm(scene: Scene, one: Faulting, run: Run) -> Candidate:
    changes = _samples(scene, one, run)
    seconds = max(sum(change.seconds for change in changes), 1.0)
    user, system = (sum(change.of(name) for change in changes) / 1e3 for name in ("utime_ms", "stime_ms"))
    faults = run.total(one.by_second)
    candidate = Candidate("page_fault_storm", one.entity, scene.at(run.first), (one.entity,))
    candidate.suffering_s = system
    name = one.entity.name
    rate = faults / run.seconds
    candidate.check(f"{name} has {rate:,.0f} faults a second, for {run.seconds} s", run.seconds >= LASTS_S, 1.5, 5.0)
    in_kernel = not changes or (
        system >= SYSTEM_CPU * seconds and system >= SYSTEM_SHARE[rate >= MANY_FAULTS_PER_S] * (user + system)
    )
    candidate.check("it spends much of its time in the kernel", in_kernel, 2.0, 5.0)
    calls = sum(change.of(name) for change in changes for name in ("read_syscalls", "write_syscalls"))
    own = rate >= MANY_FAULTS_PER_S or calls < faults
    candidate.check("what it does in the kernel is not reading and writing", own, 0.5, 7.0)
    candidate.check("it does not keep the memory", _kept_kb(changes) < KEPT_SHARE * faults * PAGE_KB, 1.5, 5.0)
    candidate.check("it is not new processes or threads that fault", _of_new_ones(scene, one, run) < faults, 0.5, 6.0)
    candidate.check("no page was pushed out for want of memory", not _came_back(scene, run, faults), 0.5, 3.0)
    # A page that has to be read or swapped in was pushed out, or was never there: that is for memory or for a disk.
    candidate.check(
        "most of the pages are there, or new", _read_in(one, changes, run, scene) < READ_IN * faults, 0.0, 5.0
    )
    rows = scene.within(one.rows, run)
    how: How = "sum" if one.kind == "page_fault_stats" else "increase"
    candidate.step(
        f"{name} ({one.entity.id}) faulted for {faults:,.0f} pages in {run.seconds} s",
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
    advice = f"let {name} reuse its memory: see where it maps, unmaps or gives pages back"
    candidate.outlook = "it goes on at a fraction of its speed, and its threads wait for each other's mappings"
    return _concluded(candidate, advice)


def _concluded(candidate: Candidate, advice: str) -> Candidate:
    culprit = candidate.culprit
    candidate.refuted_by = f"{culprit.name} does as much in the same time when it keeps its memory, or uses huge pages"
    candidate.actions = (
        Proposal("look", culprit, advice),
        Proposal("renice", culprit, f"give {culprit.name} a lower priority, so that others are not slowed"),
    )
    return candidate


def _of_copies(scene: Scene, family: Family) -> Iterator[Candidate]:
    """Copies that a process makes of itself, each of which faults for the pages that it writes to, and ends.

    Each is too short-lived to be told apart, and no sample has its times: the account of the scheduler tells how
    long they ran, and the CPUs how much of that may have been in the kernel, if they are most of what ran.
    """
    parent, _ = most_children(family.rows)
    rows = _of_children(scene, family, parent)
    for run in runs(scene.per_second(rows, _faults), lambda rate: rate >= FAULTS_PER_S)[-1:]:
        within, born = scene.within(rows, run), scene.within((r for r in family.rows if r["pid"] == parent), run)
        pids = {row["pid"] for row in within}
        forks, execs = (sum(row[name] or 0 for row in born) for name in ("forks", "execs"))
        if execs > forks / 2 or not forks / 2 <= len(pids) <= 2 * forks:
            continue  # they are other programs, or not its children
        faults = sum(map(_faults, within))
        account = [row for row in scene.within(scene.rows("sched_process"), run) if row["pid"] in pids]
        ran = sum(row["cpu_time_ms"] or 0 for row in account) / 1e3
        cpus = scene.during(of_all_cpus(scene), run)
        spent, busy = spent_by_cpus(cpus)
        busy_s = scene.cpus * run.seconds * busy / max(sum(spent.values()), 1.0)
        culprit = named(scene, parent)
        candidate = Candidate("page_fault_storm", culprit, scene.at(run.first), (culprit,))
        candidate.suffering_s = ran
        rate = faults / run.seconds
        claim = f"copies of {culprit.name} have {rate:,.0f} faults a second, for {run.seconds} s"
        candidate.check(claim, run.seconds >= LASTS_S, 1.5, 5.0)
        in_kernel = spent[Cpu.system] >= SYSTEM_SHARE[rate >= MANY_FAULTS_PER_S] * busy
        candidate.check("the CPUs spend much of their time in the kernel", in_kernel, 1.5, 5.0)
        candidate.check("most of that is theirs", ran >= max(busy_s / 2, SYSTEM_CPU * run.seconds), 1.0, 5.0)
        more = faults > FAULTS_PER_CHILD * len(pids)
        candidate.check("they fault for more than it takes to begin and to end", more, 0.5, 6.0)
        candidate.check("no page was pushed out for want of memory", not _came_back(scene, run, faults), 0.5, 3.0)
        candidate.step(
            f"{len(pids)} copies of {culprit.name} ({culprit.id}) faulted for {faults:,.0f} pages in {run.seconds} s",
            scene.evidence("page_fault_stats", within, "minor_faults", "sum"),
            scene.evidence("sched_process", born, "forks", "sum"),
        )
        candidate.step(
            f"they ran for {ran:.1f} s, and the kernel took {100 * spent[Cpu.system] / max(busy, 1):.0f} % of CPU time",
            scene.evidence("sched_process", account, "cpu_time_ms", "sum"),
            scene.evidence("cpu", samples_of(cpus), "system", "increase"),
        )
        candidate.outlook = "making copies goes on taking its share of the CPUs"
        yield _concluded(candidate, f"let {culprit.name} copy itself less often, or write to fewer pages while it does")


def _of_children(scene: Scene, family: Family, parent: int) -> list[Row]:
    """The faults of processes of the same program and group that came and went."""
    known = scene.once(processes)
    own = [
        row
        for row in scene.rows("page_fault_stats")
        if row["comm"] == family.comm and row["cgroup_id"] == family.group and row["pid"] != parent
    ]
    return [
        row
        for (pid,), of in grouped(own, "pid").items()
        if len(of) <= SHORT_LIVED_S and len(known[pid].samples if pid in known else ()) <= 1
        for row in of
    ]


def _samples(scene: Scene, one: Faulting, run: Run) -> Sequence[Change]:
    """What the process did in that stretch, by its samples."""
    found = [
        scene.during(changes, run) for key, changes in scene.changes("process").items() if str(key[0]) == one.entity.id
    ]
    return max(found, key=len, default=[])


def _read_in(one: Faulting, changes: Sequence[Change], run: Run, scene: Scene) -> float:
    """Faults of a process that had to wait until the page was read or swapped in."""
    if one.kind == "process":
        return sum(change.of("major_faults") for change in changes)
    return float(sum(row["major_faults"] or 0 for row in scene.within(one.rows, run)))


def _kept_kb(changes: Sequence[Change]) -> float:
    if not changes:
        return 0.0
    return float((changes[-1].after["rss_kb"] or 0) - (changes[0].before["rss_kb"] or 0))


def _of_new_ones(scene: Scene, one: Faulting, run: Run) -> float:
    """Faults that it takes to begin its children and threads; untraced, those of the whole machine."""
    if scene.rows("sched_process"):
        own = [row for row in scene.rows("sched_process") if str(row["pid"]) == one.entity.id]
        rows = scene.within(own, run)
        forks, threads = (sum(row[name] or 0 for row in rows) for name in ("forks", "threads_started"))
        return float(forks * FAULTS_PER_CHILD + threads * FAULTS_PER_THREAD)
    return sum(change.of("forks") for change in scene.during(of_all_cpus(scene), run)) * FAULTS_PER_CHILD


def _came_back(scene: Scene, run: Run, faults: float) -> bool:
    """Whether a good part of the faults may be for pages that had been pushed out."""
    whole = scene.once(machine)
    if whole is None:
        return False
    names = ("workingset_refault_anon", "workingset_refault_file", "pswpin")
    return sum(change.of(name) for change in scene.during(whole.deltas, run) for name in names) >= faults / 10
