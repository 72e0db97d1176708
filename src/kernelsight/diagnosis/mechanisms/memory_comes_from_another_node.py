"""Memory nodes that are full while others have room."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from kernelsight.diagnosis.duration import LASTS, Duration, duration_of
from kernelsight.diagnosis.faults.numa_pressure import NUMA_PRESSURE
from kernelsight.diagnosis.identity import process_entity
from kernelsight.diagnosis.mechanism import Check, Explanation, Mechanism, claim, path
from kernelsight.diagnosis.model import Entity
from kernelsight.diagnosis.remedies import LOOK
from kernelsight.diagnosis.threshold import Threshold
from kernelsight.diagnosis.window import CounterDelta, Interval, Window, runs, samples_of
from kernelsight.events.memory import Vmstat
from kernelsight.events.numa import NumaNode
from kernelsight.events.process import Process
from kernelsight.quantities import number

FOREIGN_PER_S = Threshold(
    1000,
    "pages/s",
    because="judged: 4 MiB a second that lie on the wrong node; fewer are had at boot and by programs that start",
)
FOREIGN_SHARE = Threshold(
    0.1,
    "share of the pages that were wanted of the node",
    because="judged: memory of another node takes half as long again to reach (SLIT distances of 20 to 30 against 10, "
    "ACPI 6.4, 5.2.17); of a tenth of the pages, 5 % of the time",
)
FULL_SHARE = Threshold(
    0.1,
    "share of the node's memory",
    because="judged: a node with less than a tenth free, its page cache included, gives memory of others instead of "
    "its cache (vm.zone_reclaim_mode 0)",
)
ROOM_SHARE = Threshold(
    0.2, "share of the node's memory", because="judged: where all nodes are full, memory is short, and not a node"
)
MIGRATED_PER_S = Threshold(
    10_000,
    "pages/s",
    because="calculated: to move a page takes 2 to 5 µs with the flush of TLBs, so these take 2 to 5 % of a CPU",
)


@dataclass(frozen=True, slots=True)
class FullNode:
    """A node that gave less memory than was wanted of it in a stretch of seconds."""

    node: int
    run: Interval
    duration: Duration
    foreign: float
    """Pages that were wanted of it and came from another node."""
    hits: float
    """Pages that it gave."""
    free_share: float | None
    """Of its memory, what is free or page cache, at least; None: not known."""
    room_share: float | None
    """The same of the node with most room."""
    migrated: float
    """Pages that were moved to the node that uses them, of the machine."""
    growing: Sequence[Process]
    """Last sample of the process that has most memory."""
    deltas: Sequence[CounterDelta[NumaNode]]
    vmstat: Sequence[CounterDelta[Vmstat]]


def measure(window: Window) -> Iterable[FullNode]:
    """Each node and stretch in which memory that was wanted of it came from another one."""
    for (node,), deltas in window.deltas(NumaNode).items():
        rates = {window.second(delta.after): delta.of(NumaNode.numa_foreign) / delta.seconds for delta in deltas}
        for run in runs(rates, lambda rate: rate >= FOREIGN_PER_S, gap=2) if node is not None else ():
            within = window.during(deltas, run)
            others = [rows[-1].after for (other,), rows in window.deltas(NumaNode).items() if other != node and rows]
            vmstat = [delta for of in window.deltas(Vmstat).values() for delta in window.during(of, run)]
            yield FullNode(
                node=node,
                run=run,
                duration=duration_of(window, run),
                foreign=sum(delta.of(NumaNode.numa_foreign) for delta in within),
                hits=sum(delta.of(NumaNode.numa_hit) for delta in within),
                free_share=min((share for delta in within if (share := _free(delta.after)) is not None), default=None),
                room_share=max((share for row in others if (share := _free(row)) is not None), default=None),
                migrated=sum(delta.of(Vmstat.numa_pages_migrated) for delta in vmstat),
                growing=_largest(window, run),
                deltas=within,
                vmstat=vmstat,
            )


def _free(row: NumaNode) -> float | None:
    """Of a node's memory, the share that is free or page cache."""
    if not row.mem_total_kb or row.mem_free_kb is None:
        return None
    return (row.mem_free_kb + (row.file_pages_kb or 0)) / row.mem_total_kb


def _largest(window: Window, run: Interval) -> list[Process]:
    """The process with most memory at the end of a stretch."""
    rows = [row for row in window.rows(Process) if row.rss_kb and window.second(row) <= run.last]
    last = {row.pid: row for row in rows}
    return [max(last.values(), key=lambda row: row.rss_kb or 0)] if last else []


def explain(window: Window, suspect: FullNode) -> Explanation:
    """Who runs on its CPUs gets memory of another node."""
    culprit = Entity("device", f"node{suspect.node}", f"memory node {suspect.node}")
    rows = samples_of(suspect.deltas)
    largest = suspect.growing[0] if suspect.growing else None
    holder = process_entity(largest.pid or 0, largest.comm) if largest else None
    share = suspect.foreign / max(suspect.foreign + suspect.hits, 1.0)
    return Explanation(
        culprit=culprit,
        onset_ns=window.at(suspect.run.first),
        does="has too little memory for its CPUs",
        detail=f"{number(round(suspect.foreign / suspect.run.seconds))} pages a second come from another node",
        harm="",
        suffering_s=0.0,
        path=path(
            claim(
                f"{suspect.foreign / suspect.run.seconds:,.0f} pages a second that were wanted of node "
                f"{suspect.node} came "
                f"from another node, {share:.0%} of what was wanted of it",
                window.evidence(rows, NumaNode.numa_foreign, "increase"),
                window.evidence(rows, NumaNode.numa_hit, "increase"),
            ),
            claim(
                f"node {suspect.node} had {suspect.free_share or 0.0:.0%} of its memory free or as page cache, at "
                f"least",
                window.evidence(rows, NumaNode.mem_free_kb, "min"),
                window.evidence(rows, NumaNode.file_pages_kb, "min"),
            )
            if suspect.free_share is not None
            else None,
            claim(
                f"the kernel moved {suspect.migrated:,.0f} pages to the node that uses them",
                window.evidence(samples_of(suspect.vmstat), Vmstat.numa_pages_migrated, "increase"),
            )
            if suspect.migrated >= MIGRATED_PER_S * suspect.run.seconds
            else None,
            claim(
                f"{holder.name} ({holder.id}) has more memory than any other process",
                window.evidence(suspect.growing, Process.rss_kb, "last"),
            )
            if holder
            else None,
        ),
        refuted_by=f"programs on node {suspect.node} are as slow with memory of their own node",
        outlook="programs there work with memory that is farther away, until some of the node is freed",
        actions=(
            LOOK.on(
                culprit,
                "see who has the memory of the node (numastat -p), and spread it (numactl --interleave) or bind it to "
                "another node",
            ),
        ),
    )


MECHANISM = Mechanism[FullNode](
    fault=NUMA_PRESSURE,
    summary="A memory node is full while another one has room. Who runs on its CPUs gets memory that is farther away.",
    measure=measure,
    checks=(
        Check(
            id="good_part",
            says="a good part of what is wanted of the node comes from another one",
            holds=lambda suspect: suspect.foreign >= FOREIGN_SHARE * (suspect.foreign + suspect.hits),
            supports=2.0,
            refutes=4.0,
            because="judged: it is what the fault consists of, as the kernel counts it (numastat); of a small part, "
            "nobody notices that it is farther away",
        ),
        Check(
            id="node_is_full",
            says="the node is full",
            holds=lambda suspect: None if suspect.free_share is None else suspect.free_share < FULL_SHARE,
            supports=1.0,
            refutes=2.0,
            because="judged: else a policy (numactl) prefers a node for other reasons, and gets what it asks for",
        ),
        Check(
            id="another_has_room",
            says="another node has room",
            holds=lambda suspect: None if suspect.room_share is None else suspect.room_share >= ROOM_SHARE,
            supports=0.5,
            refutes=3.0,
            because="judged: where no node has room, memory is short (`memory_pressure`)",
        ),
        LASTS,
    ),
    explain=explain,
)
