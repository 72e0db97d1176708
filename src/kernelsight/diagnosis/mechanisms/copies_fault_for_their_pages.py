"""A process that makes copies of itself (fork), each of which faults for the pages that it writes to, and ends."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass

from kernelsight.diagnosis.contention import of_all_cpus, spent_by_cpus
from kernelsight.diagnosis.families import Family, families, most_children
from kernelsight.diagnosis.faults.page_fault_storm import PAGE_FAULT_STORM
from kernelsight.diagnosis.identity import ProgramId, by_program
from kernelsight.diagnosis.mechanism import Check, Explanation, Mechanism, claim, path
from kernelsight.diagnosis.page_faults import (
    FAULTS_PER_CHILD,
    FAULTS_PER_S,
    LASTS_S,
    MANY_FAULTS_PER_S,
    MOST_SYSTEM_SHARE,
    MUCH_SYSTEM_SHARE,
    NOT_FOR_EVICTED_PAGES,
    SYSTEM_CPUS,
    Faulting,
    came_back,
    faults_of,
    refuted_by,
    remedies,
)
from kernelsight.diagnosis.processes import named, processes
from kernelsight.diagnosis.threshold import Threshold
from kernelsight.diagnosis.window import CounterDelta, Window, grouped_by, runs, samples_of
from kernelsight.events.memory import PageFaultStats
from kernelsight.events.scheduler import Cpu, SchedProcess
from kernelsight.quantities import number

SHORT_LIVED_S = Threshold(
    2, "s", because="judged: a process that is seen in no more seconds is one of many, and not one to be named"
)
LOADED_SHARE = Threshold(
    0.5,
    "programs loaded for each child",
    because="calculated: from there on most children are other programs, and no copies",
)
COUNTED_TIMES = Threshold(
    2.0,
    "times as many (or as few) as the parent has children",
    because="judged: by second, some begin in one and end in the next; with more or fewer, they are not its children",
)
MOST_SHARE = Threshold(0.5, "share of all CPU time used", because="calculated: more than all other processes together")


@dataclass(frozen=True, slots=True)
class Copying(Faulting):
    """A process in a stretch of seconds in which copies of it faulted for pages at a high rate.

    Each copy is too short-lived to be told apart, and no sample has its times: the account of the scheduler tells how
    long they ran, and the CPUs how much of that may have been in the kernel, if they are most of what ran.
    """

    copies: int
    ran_s: float
    """CPU time of the copies."""
    busy_s: float
    """CPU time of everything that ran."""
    busy_ticks: float
    system_ticks: float
    """Of those, in the kernel."""
    traced: Sequence[PageFaultStats]
    born: Sequence[SchedProcess]
    account: Sequence[SchedProcess]
    cpus: Sequence[CounterDelta[Cpu]]


def measure(window: Window) -> Iterable[Copying]:
    """The last stretch of each program that makes copies of itself in which these had many faults."""
    for family in window.once(families):
        yield from _copying(window, family)


def _copying(window: Window, family: Family) -> Iterator[Copying]:
    parent, _ = most_children(family.rows)
    rows = _of_children(window, family, parent)
    for run in runs(window.per_second(rows, faults_of), lambda rate: rate >= FAULTS_PER_S)[-1:]:
        within = window.within(rows, run)
        born = window.within((row for row in family.rows if row.pid == parent), run)
        pids = {row.pid for row in within}
        forks, execs = sum(row.forks or 0 for row in born), sum(row.execs or 0 for row in born)
        counted = forks / COUNTED_TIMES <= len(pids) <= COUNTED_TIMES * forks
        if execs > LOADED_SHARE * forks or not counted:
            continue  # they are other programs, or not its children
        account = [row for row in window.within(window.rows(SchedProcess), run) if row.pid in pids]
        cpus = window.during(of_all_cpus(window), run)
        spent, busy = spent_by_cpus(cpus)
        yield Copying(
            named(window, parent),
            run,
            faults=sum(map(faults_of, within)),
            copies=len(pids),
            ran_s=sum(row.cpu_time_ms or 0 for row in account) / 1e3,
            busy_s=window.cpus * run.seconds * busy / max(sum(spent.values()), 1.0),
            busy_ticks=busy,
            system_ticks=spent[Cpu.system],
            came_back=came_back(window, run),
            traced=within,
            born=born,
            account=account,
            cpus=cpus,
        )


def _faults(window: Window) -> dict[ProgramId, list[PageFaultStats]]:
    """The faults by the program of who had them."""
    return by_program(window, window.rows(PageFaultStats))


def _of_children(window: Window, family: Family, parent: int) -> list[PageFaultStats]:
    """The faults of processes of the same program and group that came and went."""
    known = window.once(processes)
    own = [row for row in window.once(_faults).get(family.program, ()) if row.pid != parent]
    return [
        row
        for pid, rows in grouped_by(own, lambda row: row.pid or 0).items()
        if len(rows) <= SHORT_LIVED_S and len(known[pid].samples if pid in known else ()) <= 1
        for row in rows
    ]


def explain(window: Window, copying: Copying) -> Explanation:
    """A copy shares the pages of its parent until it writes to one; then it faults, and the kernel copies the page."""
    parent = copying.culprit
    in_kernel = 100 * copying.system_ticks / max(copying.busy_ticks, 1)
    return Explanation(
        culprit=parent,
        onset_ns=window.at(copying.run.first),
        victims=(parent,),
        does="makes copies of itself (fork) that write to its pages",
        detail=f"{number(round(copying.faults / copying.seconds))} page faults a second",
        harm=f"waits while the kernel copies pages, which takes {in_kernel:.0f} % of the CPU time",
        suffering_s=copying.ran_s,
        path=path(
            claim(
                f"{copying.copies} copies of {parent.name} ({parent.id}) faulted for {copying.faults:,.0f} pages in "
                f"{copying.seconds} s",
                window.evidence(copying.traced, PageFaultStats.minor_faults, "sum"),
                window.evidence(copying.born, SchedProcess.forks, "sum"),
            ),
            claim(
                f"they ran for {copying.ran_s:.1f} s, and the CPUs spent {in_kernel:.0f} % in the kernel",
                window.evidence(copying.account, SchedProcess.cpu_time_ms, "sum"),
                window.evidence(samples_of(copying.cpus), Cpu.system, "increase"),
            ),
        ),
        refuted_by=refuted_by(parent),
        outlook="making copies goes on taking its share of the CPUs",
        actions=remedies(parent, f"let {parent.name} copy itself less often, or write to fewer pages while it does"),
    )


MECHANISM = Mechanism[Copying](
    fault=PAGE_FAULT_STORM,
    summary="A process makes copies of itself (fork) that write to its pages, and the kernel copies each such page.",
    measure=measure,
    checks=(
        Check(
            id="lasts",
            says="copies of {name} have {per_s:,.0f} faults a second for longer than a program takes to load "
            "({seconds} s)",
            holds=lambda copying: copying.seconds >= LASTS_S,
            supports=1.5,
            refutes=5.0,
            because="judged: whatever starts has as many faults for a moment",
        ),
        Check(
            id="in_the_kernel",
            says="the CPUs spend much of their time in the kernel",
            holds=lambda copying: (
                copying.system_ticks
                >= (MUCH_SYSTEM_SHARE if copying.per_s >= MANY_FAULTS_PER_S else MOST_SYSTEM_SHARE) * copying.busy_ticks
            ),
            supports=1.5,
            refutes=5.0,
            because="judged: faults are handled in the kernel; children that compute lose little to them (recorded: "
            "`test_run_that_fits`)",
        ),
        Check(
            id="most_of_what_runs",
            says="the copies are most of what runs",
            holds=lambda copying: copying.ran_s >= max(MOST_SHARE * copying.busy_s, SYSTEM_CPUS * copying.run.seconds),
            supports=1.0,
            refutes=5.0,
            because="judged: else the time in the kernel may be that of other processes (recorded: "
            "`killed_and_started_again`)",
        ),
        Check(
            id="more_than_to_begin",
            says="they fault for more pages than it takes to begin and to end",
            holds=lambda copying: copying.faults > FAULTS_PER_CHILD * copying.copies,
            supports=0.5,
            refutes=6.0,
            because="judged: children that only begin and end have these faults, too: `fork_storm` (recorded: "
            "`test_run_that_fits`)",
        ),
        NOT_FOR_EVICTED_PAGES,
    ),
    explain=explain,
)
