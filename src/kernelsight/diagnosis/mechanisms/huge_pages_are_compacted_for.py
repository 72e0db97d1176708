"""Page faults that take long, because the kernel moves pages about until it has a block for a huge page."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from kernelsight.diagnosis.duration import LASTS, Duration, duration_of
from kernelsight.diagnosis.faults.huge_page_stall import HUGE_PAGE_STALL
from kernelsight.diagnosis.identity import process_entity
from kernelsight.diagnosis.mechanism import Check, Explanation, Mechanism, claim, path
from kernelsight.diagnosis.model import Entity, Step
from kernelsight.diagnosis.page_faults import came_back
from kernelsight.diagnosis.phrases import of_every_second, times
from kernelsight.diagnosis.remedies import LOOK, MACHINE
from kernelsight.diagnosis.threshold import Threshold
from kernelsight.diagnosis.window import NS_PER_S, CounterDelta, Interval, Window, grouped_by, runs, samples_of
from kernelsight.events.memory import PageFaultStats, Vmstat
from kernelsight.events.pressure import Pressure
from kernelsight.events.process import Process
from kernelsight.quantities import quantity
from kernelsight.signals.rules.pressure import MEMORY_STALLED_PERCENT

LEAST_STALLS = Threshold(3, "compactions", because="judged: a single one, however long it takes, is an accident")
GAP_S = Threshold(
    6,
    "s without a compaction",
    because="measured: a single one takes up to 5 s in an emulated machine whose CPUs answer each other slowly, and it "
    "is counted when it begins",
)
HUGE_SHARE = Threshold(
    0.5,
    "huge pages a compaction",
    because="judged: where fewer huge pages are asked for, most compactions are for something else, such as buffers "
    "of a network driver",
)
SLOW_FAULT_NS = Threshold(
    300_000,
    "ns a fault",
    because="calculated: to clear 2 MiB takes 100 to 200 µs at 10 to 20 GB/s, and a fault for a small page takes one; "
    "a process whose faults take longer on average waits for something else than its page",
)
TAKES_SHARE = Threshold(
    0.1, "share of the time", because="judged: who spends so much in faults is slower by as much, which is noticed"
)
STALLED_SHARE = Threshold(
    MEMORY_STALLED_PERCENT / 100 / 2,
    "share of the time (PSI, memory, some)",
    because="judged: it counts direct compaction (mm/page_alloc.c), and tells that some task stalled, where nothing "
    "records which; half of what the signal `memory_pressure` tells at",
)
SCANNED_PER_STALL = Threshold(
    64,
    "pages scanned a compaction",
    because="measured: 500 where faults took a second (an emulated machine), and 8 where compaction was deferred after "
    "failures and took no time; a block of a huge page has 512",
)
EVICTED_SHARE = Threshold(
    10.0,
    "pages that came back a compaction",
    because="judged: where more pages are evicted and needed again, memory is short",
)


@dataclass(frozen=True, slots=True)
class Compacting:
    """A stretch of seconds in which tasks had to compact memory themselves."""

    run: Interval
    duration: Duration
    stalls: float
    failed: float
    """Of them, without a large block."""
    huge_pages: float
    """Huge pages that were asked for: those that were had, and those instead of which small ones were given."""
    scanned: float | None
    """Pages that were looked at; None: not counted."""
    came_back: float
    """Pages that were needed again though they had been evicted."""
    faulting: Entity | None
    """The process that spent most time in slow faults."""
    fault_s: float
    """That time."""
    fault_ns: float
    """What one of its faults took, on average."""
    traced: bool
    """Time in faults is recorded."""
    stalled_share: float | None
    """Of the time, how long some task stalled for memory (PSI); None: not counted."""
    faults: Sequence[PageFaultStats]
    deltas: Sequence[CounterDelta[Vmstat]]
    pressure: Sequence[CounterDelta[Pressure]]


def measure(window: Window) -> Iterable[Compacting]:
    """Each stretch in which tasks compacted memory for themselves."""
    for deltas in window.deltas(Vmstat).values():
        rates = {window.second(delta.after): delta.of(Vmstat.compact_stall) / delta.seconds for delta in deltas}
        for run in runs(rates, lambda rate: rate > 0, gap=int(GAP_S)):
            within = window.during(deltas, run)
            if sum(delta.of(Vmstat.compact_stall) for delta in within) >= LEAST_STALLS:
                suspect = _compacting(window, within, run)
                if suspect.traced or suspect.stalled_share is not None:  # else nothing tells whether anybody waits
                    yield suspect


def _compacting(window: Window, deltas: Sequence[CounterDelta[Vmstat]], run: Interval) -> Compacting:
    rows = window.within(window.rows(PageFaultStats), run)
    by_process = grouped_by((row for row in rows if row.pid and row.fault_ns), lambda row: (row.pid, row.comm))
    slow = {who: own for who, own in by_process.items() if _mean_ns(own) >= SLOW_FAULT_NS}
    worst = max(slow, key=lambda who: sum(row.fault_ns or 0 for row in slow[who]), default=None)
    own = slow[worst] if worst else []
    pressure = window.during(window.deltas(Pressure).get(("memory", "system"), ()), run)
    stalled = sum(delta.of(Pressure.some_total_us) for delta in pressure) / 1e6 / run.seconds
    scanned = sum(delta.of(Vmstat.compact_migrate_scanned) for delta in deltas)
    return Compacting(
        run=run,
        duration=duration_of(window, run),
        stalls=sum(delta.of(Vmstat.compact_stall) for delta in deltas),
        failed=sum(delta.of(Vmstat.compact_fail) for delta in deltas),
        huge_pages=sum(
            delta.of(Vmstat.thp_fault_alloc)
            + delta.of(Vmstat.thp_fault_fallback)
            + delta.of(Vmstat.thp_collapse_alloc)
            + delta.of(Vmstat.thp_collapse_alloc_failed)
            for delta in deltas
        ),
        scanned=scanned if deltas[-1].after.compact_migrate_scanned is not None else None,
        came_back=came_back(window, run),
        faulting=process_entity(worst[0] or 0, worst[1]) if worst else _busiest(window, run) if not rows else None,
        fault_s=sum(row.fault_ns or 0 for row in own) / NS_PER_S,
        fault_ns=_mean_ns(own),
        traced=bool(rows),
        stalled_share=stalled if pressure else None,
        faults=own,
        deltas=deltas,
        pressure=pressure,
    )


def _mean_ns(rows: Sequence[PageFaultStats]) -> float:
    faults = sum((row.minor_faults or 0) + (row.major_faults or 0) for row in rows)
    return sum(row.fault_ns or 0 for row in rows) / faults if faults else 0.0


def _busiest(window: Window, run: Interval) -> Entity | None:
    """The process with most time in the kernel, where nothing tells who faults."""
    spent = {
        key: sum(delta.of(Process.stime_ms) for delta in window.during(deltas, run))
        for key, deltas in window.deltas(Process).items()
    }
    most = max(spent, key=lambda key: spent[key], default=None)
    if most is None or spent[most] / 1e3 < TAKES_SHARE * run.seconds:
        return None
    return process_entity(most[0], window.deltas(Process)[most][-1].after.comm)


def _in_kernel(window: Window, culprit: Entity, run: Interval) -> Step | None:
    """The claim that makes a process the culprit where faults are not recorded."""
    of_culprit = (deltas for key, deltas in window.deltas(Process).items() if str(key[0]) == culprit.id)
    rows = [row for deltas in of_culprit for row in samples_of(window.during(deltas, run))]
    shown = window.evidence(rows, Process.stime_ms, "increase")
    spent = "" if shown is None else f", {shown.value / 1e3:.1f} s"
    return claim(f"{culprit.name} ({culprit.id}) used more CPU time in the kernel than any other process{spent}", shown)


def explain(window: Window, suspect: Compacting) -> Explanation:
    """Who faults for a huge page moves other pages away before it goes on."""
    culprit = suspect.faulting or Entity("machine", "transparent_hugepage", "transparent huge pages")
    rows = samples_of(suspect.deltas)
    return Explanation(
        culprit=culprit,
        onset_ns=window.at(suspect.run.first),
        victims=(culprit,) if suspect.faulting else (),
        does="waits while the kernel compacts memory for its huge pages"
        if suspect.faulting
        else "make tasks compact memory",
        detail=f"{times(suspect.stalls)} in {suspect.run.seconds} s",
        harm=f"spends {of_every_second(suspect.fault_s, suspect.run.seconds)} in page faults",
        suffering_s=suspect.fault_s or (suspect.stalled_share or 0.0) * suspect.run.seconds,
        path=path(
            claim(
                f"{culprit.name} ({culprit.id}) spent {suspect.fault_s:.1f} s of {suspect.run.seconds} s in page "
                f"faults, "
                f"{quantity(suspect.fault_ns / 1e6, 'ms')} in each",
                window.evidence(suspect.faults, PageFaultStats.fault_ns, "sum"),
            ),
            claim(
                f"tasks stalled for memory {suspect.stalled_share or 0.0:.0%} of the time",
                window.evidence(samples_of(suspect.pressure), Pressure.some_total_us, "increase"),
            )
            if suspect.stalled_share
            else None,
            None if suspect.traced else _in_kernel(window, culprit, suspect.run),
            claim(
                f"tasks compacted memory {suspect.stalls:,.0f} times in {suspect.run.seconds} s, "
                f"{suspect.failed:,.0f} times "
                "in vain",
                window.evidence(rows, Vmstat.compact_stall, "increase"),
                window.evidence(rows, Vmstat.compact_fail, "increase"),
            ),
            claim(
                f"{suspect.huge_pages:,.0f} huge pages were asked for",
                window.evidence(rows, Vmstat.thp_fault_alloc, "increase"),
                window.evidence(rows, Vmstat.thp_fault_fallback, "increase"),
            ),
        ),
        refuted_by="faults take as long with `defer` in /sys/kernel/mm/transparent_hugepage/defrag",
        outlook="each huge page costs moving others, for as long as free memory lies in small pieces",
        actions=(
            LOOK.on(
                MACHINE,
                "let the kernel compact in the background: echo defer+madvise > "
                "/sys/kernel/mm/transparent_hugepage/defrag",
            ),
            LOOK.on(culprit, f"let {culprit.name} use small pages: MADV_NOHUGEPAGE, or a setting of its own"),
        ),
    )


MECHANISM = Mechanism[Compacting](
    fault=HUGE_PAGE_STALL,
    summary="Free memory lies in small pieces. A fault for a huge page moves pages about until a block is free, and "
    "its program waits.",
    measure=measure,
    checks=(
        Check(
            id="takes_time",
            says="a process spends a good part of the time in slow page faults, or tasks stall for memory",
            holds=lambda suspect: (
                suspect.fault_s >= TAKES_SHARE * suspect.run.seconds
                if suspect.traced
                else None
                if suspect.stalled_share is None
                else suspect.stalled_share >= STALLED_SHARE
            ),
            supports=2.5,
            refutes=4.0,
            because="judged: it is what the harm consists of; with huge pages and free blocks a large heap faults "
            "seldom and fast",
        ),
        Check(
            id="for_huge_pages",
            says="huge pages are asked for as often",
            holds=lambda suspect: suspect.huge_pages >= HUGE_SHARE * suspect.stalls,
            supports=1.0,
            refutes=4.0,
            because="judged: memory is compacted for other large blocks, too",
        ),
        Check(
            id="looks_at_many_pages",
            says="each compaction looks at many pages",
            holds=lambda suspect: (
                None if suspect.scanned is None else suspect.scanned >= SCANNED_PER_STALL * suspect.stalls
            ),
            supports=0.5,
            refutes=4.0,
            because="judged: one that finds a block at once, or gives up at once (compaction is deferred after "
            "failures), takes "
            "no time; then faults are slow for another reason, such as the clearing of pages",
        ),
        Check(
            id="memory_is_not_short",
            says="few pages are evicted and needed again",
            holds=lambda suspect: suspect.came_back < EVICTED_SHARE * suspect.stalls,
            supports=0.5,
            refutes=3.0,
            because="judged: where memory is short, tasks reclaim and compact, and the shortage is why "
            "(`memory_pressure`)",
        ),
        LASTS,
    ),
    explain=explain,
)
