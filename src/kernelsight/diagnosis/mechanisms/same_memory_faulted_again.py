"""A process that gives its memory back and asks for it again, and spends its time in the kernel for it."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, field

from kernelsight.diagnosis.contention import of_all_cpus
from kernelsight.diagnosis.faults.page_fault_storm import PAGE_FAULT_STORM
from kernelsight.diagnosis.identity import process_entity
from kernelsight.diagnosis.mechanism import Check, Explanation, Mechanism, claim, path
from kernelsight.diagnosis.memory_use import KIB, PAGE_KB
from kernelsight.diagnosis.model import Evidence
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
from kernelsight.diagnosis.threshold import Threshold
from kernelsight.diagnosis.window import CounterDelta, Interval, Window, runs, samples_of
from kernelsight.events.memory import PageFaultStats
from kernelsight.events.process import Process
from kernelsight.events.scheduler import Cpu, SchedProcess
from kernelsight.quantities import number

KEPT_SHARE = Threshold(
    0.5,
    "share of the pages that it faulted for",
    because="judged: a process that grows keeps them; one that faults for the same memory again keeps none",
)
READ_IN_SHARE = Threshold(
    0.5,
    "share of the faults",
    because="calculated: if more of them wait for a page to be read or swapped in, it is not new memory that is wanted",
)
FAULTS_PER_THREAD = Threshold(
    10.0, "faults a thread", because="judged: its stack, its own variables, an arena of the allocator"
)


@dataclass(slots=True)
class Faults:
    """One process and its page faults, by second."""

    pid: int
    comm: str
    traced: list[PageFaultStats] = field(default_factory=list)
    sampled: Sequence[Process] = ()
    """Its samples, where its faults are not traced."""
    by_second: dict[int, float] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class FaultStorm(Faulting):
    """A process in a stretch of seconds in which it faulted for pages at a high rate."""

    read_in: float
    """Faults that waited until the page was read or swapped in."""
    user_s: float
    """CPU time of the process in its own code."""
    system_s: float
    """CPU time of the process in the kernel."""
    sampled_s: float
    """The time that its samples tell of; at least 1."""
    is_sampled: bool
    """Whether there are samples of it."""
    calls: float
    """System calls that read or write."""
    kept_kb: float
    """By how much it was larger at the end."""
    children: float
    """Processes that it started; untraced, those that the whole machine started."""
    threads: float
    """Threads that it started; untraced, none are known."""
    deltas: Sequence[CounterDelta[Process]]
    traced: Sequence[PageFaultStats]
    sampled: Sequence[Process]


def measure(window: Window) -> Iterable[FaultStorm]:
    """The last stretch of each process in which it had many faults."""
    for faulting in _traced(window) if window.rows(PageFaultStats) else _sampled(window):
        for run in runs(faulting.by_second, lambda rate: rate >= FAULTS_PER_S)[-1:]:
            yield _fault_storm(window, faulting, run)


def _traced(window: Window) -> Iterable[Faults]:
    known: dict[int | None, Faults] = {}
    for row in window.rows(PageFaultStats):
        faulting = known.setdefault(row.pid, Faults(row.pid or 0, row.comm or "?"))
        faulting.traced.append(row)
        second = window.second(row)
        faulting.by_second[second] = faulting.by_second.get(second, 0.0) + faults_of(row)
    return known.values()


def _sampled(window: Window) -> Iterator[Faults]:
    for deltas in window.deltas(Process).values():
        if deltas:
            last = deltas[-1].after
            faulting = Faults(last.pid or 0, last.comm or "?", sampled=samples_of(deltas))
            for delta in deltas:
                faults = delta.of(Process.minor_faults) + delta.of(Process.major_faults)
                faulting.by_second[window.second(delta.after)] = faults / delta.seconds
            yield faulting


def _fault_storm(window: Window, faulting: Faults, run: Interval) -> FaultStorm:
    deltas = _deltas(window, faulting.pid, run)
    traced = window.within(faulting.traced, run)
    major = (delta.of(Process.major_faults) for delta in deltas)
    children, threads = _started(window, faulting.pid, run)
    return FaultStorm(
        process_entity(faulting.pid, faulting.comm),
        run,
        faults=run.total(faulting.by_second),
        read_in=sum(row.major_faults or 0 for row in traced) if faulting.traced else sum(major),
        came_back=came_back(window, run),
        user_s=sum(delta.of(Process.utime_ms) for delta in deltas) / 1e3,
        system_s=sum(delta.of(Process.stime_ms) for delta in deltas) / 1e3,
        sampled_s=max(sum(delta.seconds for delta in deltas), 1.0),
        is_sampled=bool(deltas),
        calls=sum(delta.of(Process.read_syscalls) + delta.of(Process.write_syscalls) for delta in deltas),
        kept_kb=float((deltas[-1].after.rss_kb or 0) - (deltas[0].before.rss_kb or 0)) if deltas else 0.0,
        children=children,
        threads=threads,
        deltas=deltas,
        traced=traced,
        sampled=window.within(faulting.sampled, run),
    )


def _deltas(window: Window, pid: int, run: Interval) -> Sequence[CounterDelta[Process]]:
    """What the process did in that stretch, by its samples."""
    found = [window.during(deltas, run) for key, deltas in window.deltas(Process).items() if key[0] == pid]
    return max(found, key=len, default=[])


def _started(window: Window, pid: int, run: Interval) -> tuple[float, float]:
    """The processes and threads that it started; untraced, the processes of the whole machine, and no thread."""
    if window.rows(SchedProcess):
        rows = window.within([row for row in window.rows(SchedProcess) if row.pid == pid], run)
        return sum(row.forks or 0 for row in rows), sum(row.threads_started or 0 for row in rows)
    return sum(delta.of(Cpu.forks) for delta in window.during(of_all_cpus(window), run)), 0.0


def explain(window: Window, storm: FaultStorm) -> Explanation:
    """Each fault takes the kernel a while, and the threads of the process wait for its mappings meanwhile."""
    process, samples = storm.culprit, samples_of(storm.deltas)
    in_kernel = 100 * storm.system_s / max(storm.user_s + storm.system_s, 1e-9)
    return Explanation(
        culprit=process,
        onset_ns=window.at(storm.run.first),
        victims=(process,),
        does="faults for the same memory again and again",
        detail=f"{number(round(storm.faults / max(storm.seconds, 1)))} page faults a second",
        harm=f"spends {in_kernel:.0f} % of its CPU time in the kernel",
        suffering_s=storm.system_s,
        path=path(
            claim(
                f"{process.name} ({process.id}) faulted for {storm.faults:,.0f} pages in {storm.seconds} s",
                *_faults_shown(window, storm),
            ),
            claim(
                f"it spent {storm.system_s:.1f} of {storm.user_s + storm.system_s:.1f} s of CPU time in the kernel",
                window.evidence(samples, Process.stime_ms, "increase"),
                window.evidence(samples, Process.utime_ms, "increase"),
            ),
            claim(
                f"it kept {max(storm.kept_kb, 0) / KIB:,.0f} MiB of {storm.faults * PAGE_KB / KIB:,.0f} MiB",
                window.evidence(samples, Process.rss_kb, "slope"),
            ),
        ),
        refuted_by=refuted_by(process),
        outlook="it goes on at a fraction of its speed, and its threads wait for each other's mappings",
        actions=remedies(
            process, f"let {process.name} reuse its memory: see where it maps, unmaps or gives pages back"
        ),
    )


def _faults_shown(window: Window, storm: FaultStorm) -> tuple[Evidence | None, Evidence | None]:
    if storm.traced:
        some = any(row.major_faults for row in storm.traced)
        return (
            window.evidence(storm.traced, PageFaultStats.minor_faults, "sum"),
            window.evidence(storm.traced, PageFaultStats.major_faults, "sum") if some else None,
        )
    some = any(row.major_faults for row in storm.sampled)
    return (
        window.evidence(storm.sampled, Process.minor_faults, "increase"),
        window.evidence(storm.sampled, Process.major_faults, "increase") if some else None,
    )


MECHANISM = Mechanism[FaultStorm](
    fault=PAGE_FAULT_STORM,
    summary="A process asks the kernel for pages again and again without growing, and most of its time goes to that.",
    measure=measure,
    checks=(
        Check(
            id="lasts",
            says="{name} has {per_s:,.0f} faults a second for longer than a program takes to load ({seconds} s)",
            holds=lambda storm: storm.seconds >= LASTS_S,
            supports=1.5,
            refutes=5.0,
            because="judged: whatever starts or fills a buffer has as many faults for a moment (recorded: "
            "`cache_warm_up`, `stress_yields`)",
        ),
        Check(
            id="in_the_kernel",
            says="it spends much of its time in the kernel",
            holds=lambda storm: (
                not storm.is_sampled
                or (
                    storm.system_s >= SYSTEM_CPUS * storm.sampled_s
                    and storm.system_s
                    >= (MUCH_SYSTEM_SHARE if storm.per_s >= MANY_FAULTS_PER_S else MOST_SYSTEM_SHARE)
                    * (storm.user_s + storm.system_s)
                )
            ),
            supports=2.0,
            refutes=5.0,
            because="judged: faults are handled in the kernel; a program that computes loses little to them (recorded: "
            "`sorts_in_memory`, `fills_its_cache_and_stops`)",
        ),
        Check(
            id="not_by_reading",
            says="its time in the kernel does not go to reads and writes",
            holds=lambda storm: storm.per_s >= MANY_FAULTS_PER_S or storm.calls < storm.faults,
            supports=0.5,
            refutes=7.0,
            because="judged: with more calls than faults, the kernel works for the calls, whatever else holds "
            "(recorded: `cache_warm_up`)",
        ),
        Check(
            id="does_not_keep_it",
            says="it does not keep the memory",
            holds=lambda storm: storm.kept_kb < KEPT_SHARE * storm.faults * PAGE_KB,
            supports=1.5,
            refutes=5.0,
            because="judged: a process that grows needs a fault for each page, once (recorded: "
            "`grows_towards_its_limit`)",
        ),
        Check(
            id="not_by_new_ones",
            says="the faults are not those of new processes or threads",
            holds=lambda storm: storm.children * FAULTS_PER_CHILD + storm.threads * FAULTS_PER_THREAD < storm.faults,
            supports=0.5,
            refutes=6.0,
            because="judged: a process that starts others all the time has their faults, too: `fork_storm` (recorded: "
            "`threads_that_end_at_once`)",
        ),
        NOT_FOR_EVICTED_PAGES,
        Check(
            id="not_read_in",
            says="most of the pages are in memory, or new",
            holds=lambda storm: storm.read_in < READ_IN_SHARE * storm.faults,
            supports=0.0,
            refutes=5.0,
            because="judged: a page that has to be read or swapped in was evicted, or never there: that is for memory "
            "or for a disk (recorded: `swaps_within_its_group`)",
        ),
    ),
    explain=explain,
)
