"""Programs that need more memory than there is: pages that are needed again have been evicted."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass

from kernelsight.diagnosis.faults.memory_pressure import MEMORY_PRESSURE
from kernelsight.diagnosis.mechanism import Check, Explanation, Mechanism, claim, path
from kernelsight.diagnosis.memory_use import (
    FULL_SHARE,
    KIB,
    PAGE_KB,
    STALLED_SHARE,
    AnyDomain,
    Holder,
    killed_in,
    limited_groups,
    machine,
    short,
    stalled,
    stalled_shown,
    stalls,
)
from kernelsight.diagnosis.model import Entity, Evidence, Proposal
from kernelsight.diagnosis.phrases import of_every_second
from kernelsight.diagnosis.remedies import LIMIT_MEMORY, RAISE_MEMORY_LIMIT
from kernelsight.diagnosis.threshold import Threshold
from kernelsight.diagnosis.window import CounterDelta, Interval, Window, samples_of
from kernelsight.events.memory import Vmstat
from kernelsight.events.pressure import Pressure
from kernelsight.events.process import Process
from kernelsight.quantities import quantity
from kernelsight.signals.rules.processes import WAITS_FOR_MEMORY_MS_PER_S

TURNED_OVER_SHARE = Threshold(
    0.1,
    "share of all memory that is read again, a second",
    because="calculated: all memory is read again within ten seconds; where storage is too fast for long waits, that "
    "still is work which more memory would save",
)
WAITED_SHARE = Threshold(
    WAITS_FOR_MEMORY_MS_PER_S / 1000 / 2,
    "share of the time",
    because="judged: half of what the signal `process_waits_for_memory` tells at: memory is known to be short here, "
    "and a process that waits less for pages is not noticed to be slower",
)
GROWN_SHARE = Threshold(
    0.1,
    "share of the limit",
    because="judged: what makes memory short all at once is what grew last, if it grew by more than the reserve that "
    "the kernel keeps",
)
HELD_SHARE = Threshold(
    0.3,
    "share of the limit",
    because="judged: a process that holds as much leaves too little for the others; of smaller ones, none is it",
)
MOST_SHARE = Threshold(
    0.5,
    "share of what all read, or of all shared memory",
    because="calculated: more than all other processes together",
)
REREAD_SHARE = Threshold(
    0.3,
    "share of what is read from storage",
    because="judged: of a large file that is read once, none was in memory before; of a working set that does not fit, "
    "most was",
)


@dataclass(frozen=True, slots=True)
class Blame:
    """The process (or else the domain) that uses the memory up, and what shows it."""

    entity: Entity
    claim: str = ""
    evidence: Evidence | None = None


@dataclass(frozen=True, slots=True)
class Delayed:
    """A process that waits for pages."""

    holder: Holder
    waited_s: float


@dataclass(frozen=True, slots=True)
class ShortMemory:
    """Memory of the machine or of a control group in a stretch of seconds in which evicted pages were needed again."""

    domain: AnyDomain
    run: Interval
    used_share: float
    """The most that was in use, of the limit."""
    refaulted_kb: float
    """Read again though it had been in memory."""
    read_kb: float
    """All that the processes of the domain read from storage."""
    stalled_share: float
    """Of the time, how long some task stalled for want of memory (PSI)."""
    delayed: Sequence[Delayed]
    """Processes that waited for pages, those that waited longest first."""
    somebody_is_killed: bool
    """Whether the kernel killed a process for want of this memory."""
    blame: Blame
    deltas: Sequence[CounterDelta[Vmstat]]
    """Of the counters of the domain."""
    stalls: Sequence[CounterDelta[Pressure]]

    @property
    def owner(self) -> str:
        """What has the limit, in a sentence."""
        return self.domain.owner


def measure(window: Window) -> Iterable[ShortMemory]:
    """The last stretch of each group with a limit, and of the machine, in which memory was short."""
    for domain in _domains(window):
        for run in short(window, domain)[-1:]:
            yield _short_memory(window, domain, run)


def _domains(window: Window) -> Iterator[AnyDomain]:
    """The groups with a limit, and the machine where it reclaims by itself and not for a group."""
    yield from window.once(limited_groups)
    whole = window.once(machine)
    if whole and any(delta.of(Vmstat.pgscan_kswapd) or delta.of(Vmstat.pgscan_direct) for delta in whole.deltas):
        yield whole


def _short_memory(window: Window, domain: AnyDomain, run: Interval) -> ShortMemory:
    deltas, stalling = window.during(domain.deltas, run), stalls(window, domain, run)
    waits = [Delayed(holder, stalled(window, holder, run)) for holder in domain.holders]
    return ShortMemory(
        domain,
        run,
        used_share=domain.most_used(window, run),
        refaulted_kb=PAGE_KB * sum(map(domain.came_back, deltas)),
        read_kb=sum(_read_kb(window, holder, run) for holder in domain.holders),
        stalled_share=sum(delta.of(Pressure.some_total_us) for delta in stalling) / 1e6 / run.seconds,
        delayed=sorted(
            (delayed for delayed in waits if delayed.waited_s >= WAITED_SHARE * run.seconds),
            key=lambda delayed: -delayed.waited_s,
        ),
        somebody_is_killed=killed_in(window, domain, run),
        blame=_who_leaves_no_room(window, domain, run),
        deltas=deltas,
        stalls=stalling,
    )


def _read_kb(window: Window, holder: Holder, run: Interval) -> float:
    return sum(delta.of(Process.read_bytes) for delta in window.during(holder.deltas(window), run)) / KIB


def _who_leaves_no_room(window: Window, domain: AnyDomain, run: Interval) -> Blame:
    """The process that grew most, else that holds most; else that reads more than there is room for, or the domain."""
    limit = domain.limit_kb
    present = [holder for holder in domain.holders if window.within(holder.samples, run)]
    grower = max(present, key=lambda holder: holder.grown_kb, default=None)
    if grower and grower.grown_kb >= GROWN_SHARE * limit:
        return _blamed(
            window, grower, f"took {grower.grown_kb / KIB:,.0f} MiB more, to {grower.held_kb / KIB:,.0f} MiB"
        )
    largest = max(present, key=lambda holder: holder.held_kb, default=None)
    shared = domain.shared_kb(window, run)
    if shared >= HELD_SHARE * limit and (largest is None or shared > largest.held_kb):
        return _who_shares(window, domain, present, run, shared)
    if largest and largest.held_kb >= HELD_SHARE * limit:
        return _blamed(window, largest, f"holds {largest.held_kb / KIB:,.0f} MiB of it")
    read = {holder.pid: _read_kb(window, holder, run) for holder in present}
    reader = max(present, key=lambda holder: read[holder.pid], default=None)
    if reader and read[reader.pid] > MOST_SHARE * sum(read.values()):
        text = f"{reader.comm} ({reader.pid}) read {read[reader.pid] / KIB:,.0f} MiB from storage"
        rows = window.within(reader.samples, run)
        return Blame(reader.entity, text, window.evidence(rows, Process.read_bytes, "increase"))
    return Blame(domain.entity)


def _who_shares(window: Window, domain: AnyDomain, present: Sequence[Holder], run: Interval, shared_kb: float) -> Blame:
    """The process that has most of the shared memory mapped; else it is in files of tmpfs, and the domain's."""
    shown = window.evidence(window.within(domain.rows, run), domain.shared, "max")
    holder = max(present, key=lambda holder: holder.mapped_kb, default=None)
    entity = holder.entity if holder and holder.mapped_kb >= MOST_SHARE * shared_kb else domain.entity
    return Blame(entity, f"tmpfs and shared memory hold {shared_kb / KIB:,.0f} MiB of it", shown)


def _blamed(window: Window, holder: Holder, did: str) -> Blame:
    evidence = window.evidence(holder.samples, holder.metric, "max")
    return Blame(holder.entity, f"{holder.comm} ({holder.pid}) {did}", evidence)


def explain(window: Window, memory: ShortMemory) -> Explanation:
    """The kernel evicts pages that are needed, and a process that needs one waits until it is read again."""
    domain, run, culprit = memory.domain, memory.run, memory.blame.entity
    stalls_shown = window.evidence(samples_of(memory.stalls), Pressure.some_total_us, "increase")
    return Explanation(
        culprit=culprit,
        onset_ns=window.at(run.first),
        victims=_victims(memory.delayed, culprit),
        does="has too little memory"
        if culprit == domain.entity
        else f"takes memory of {domain.owner} that others need",
        detail=f"{100 * memory.used_share:.0f} % of {quantity(domain.limit_kb, 'KiB')} are used",
        harm=f"waits {of_every_second(memory.delayed[0].waited_s, run.seconds)} for pages to be read again"
        if memory.delayed
        else "reads the same pages again and again",
        suffering_s=max(sum(delayed.waited_s for delayed in memory.delayed), memory.stalled_share * run.seconds),
        path=path(
            *(
                claim(
                    f"{delayed.holder.comm} ({delayed.holder.pid}) waited {delayed.waited_s:.1f} s of {run.seconds} s "
                    "for pages to be read",
                    stalled_shown(window, delayed.holder, run),
                )
                for delayed in memory.delayed[:2]
            ),
            claim(
                f"tasks stalled for want of memory in {100 * memory.stalled_share:.0f} % of the time",
                stalls_shown if memory.stalled_share >= STALLED_SHARE else None,
            ),
            *(
                claim(
                    f"{pages:,.0f} pages of {domain.entity.name} that had been evicted were needed again",
                    window.evidence(samples_of(memory.deltas), metric, "increase"),
                )
                for metric in domain.refaults
                if (pages := sum(delta.of(metric) for delta in memory.deltas))
            ),
            claim(
                f"{domain.owner} used up to {100 * memory.used_share:.0f} % of its {domain.limit_kb / KIB:,.0f} MiB",
                domain.shown_used(window, window.within(domain.rows, run)),
            ),
            claim(memory.blame.claim, memory.blame.evidence),
        ),
        refuted_by=f"as many pages are read again when {culprit.name} has less memory, or the limit is higher",
        outlook="the same pages are read again and again; when memory gets shorter, the kernel kills a process",
        actions=_actions(domain, culprit),
    )


def _victims(delayed: Sequence[Delayed], culprit: Entity) -> tuple[Entity, ...]:
    """The processes that suffer from another one; where there is none, the one that suffers from itself."""
    entities = [one.holder.entity for one in delayed]
    return tuple([entity for entity in entities if entity != culprit][:5] or entities[:1])


def _actions(domain: AnyDomain, culprit: Entity) -> tuple[Proposal, ...]:
    limit = LIMIT_MEMORY.on(culprit, f"give {culprit.name} less memory, or a group of its own")
    if domain.is_group:
        return RAISE_MEMORY_LIMIT.on(domain.entity, f"raise the memory limit of {domain.entity.name}"), limit
    return (limit,)


MECHANISM = Mechanism[ShortMemory](
    fault=MEMORY_PRESSURE,
    summary="Programs need more pages than their memory holds; the kernel evicts some, and they are read again.",
    measure=measure,
    checks=(
        Check(
            id="full",
            says="nearly all memory of {owner} is in use",
            holds=lambda memory: memory.used_share >= FULL_SHARE,
            supports=1.5,
            refutes=4.0,
            because="judged: pages come back to memory with room, too, after a moment of want that is over or when the "
            "limit is another one",
        ),
        Check(
            id="somebody_suffers",
            says="processes wait for pages, or all memory is read again within seconds",
            holds=lambda memory: (
                bool(memory.delayed)
                or memory.stalled_share >= STALLED_SHARE
                or memory.refaulted_kb >= TURNED_OVER_SHARE * memory.domain.limit_kb * memory.run.seconds
            ),
            supports=2.0,
            refutes=2.5,
            because="judged: it is the harm that the fault does; a few pages that come back from a fast device hurt "
            "nobody (recorded: `swaps_within_its_group`, which is near to that)",
        ),
        Check(
            id="was_in_memory",
            says="much of what is read from storage was in memory before",
            holds=lambda memory: memory.refaulted_kb >= REREAD_SHARE * memory.read_kb,
            supports=2.0,
            refutes=3.0,
            because="judged: a program that reads large files once fills its memory with them and needs no more of it",
        ),
        Check(
            id="nobody_is_killed",
            says="the kernel kills no process for want of this memory",
            holds=lambda memory: not memory.somebody_is_killed,
            supports=0.0,
            refutes=5.0,
            because="judged: pressure that ends in a kill is told as that: `oom_kill`",
        ),
    ),
    explain=explain,
)
