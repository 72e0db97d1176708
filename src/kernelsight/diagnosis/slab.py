"""Memory that the kernel takes for its own objects (slab), such as dentries, inodes and sockets: who makes them."""

from __future__ import annotations

from dataclasses import dataclass

from kernelsight.diagnosis.model import Entity, Evidence, Proposal
from kernelsight.diagnosis.processes import is_within, named
from kernelsight.diagnosis.remedies import DROP_CACHES, LOOK, MACHINE
from kernelsight.diagnosis.threshold import Threshold
from kernelsight.diagnosis.window import Window, samples_of
from kernelsight.events.process import Process

LEAST_S = Threshold(8.0, "s", because="judged: a walk over a tree of files is over by then, or is seen to stop later")
LEAST_SHARE = Threshold(
    0.01, "share of the memory that there may be", because="judged: the level of slab goes up and down by as much"
)
MOST_SHARE = Threshold(
    0.5,
    "share of the growth, or of the time in the kernel",
    because="judged: from so much on, it is who makes the objects",
)
REFUTED_BY = "slab shrinks when the kernel needs memory (`echo 2 > /proc/sys/vm/drop_caches`)"


@dataclass(frozen=True, slots=True)
class Maker:
    """Who makes the kernel's objects, and what shows it."""

    entity: Entity
    claim: str
    evidence: Evidence | None


def busiest_in_kernel(window: Window, path: str, since_ns: int) -> Maker | None:
    """The process of a control group that has most of its time in the kernel; None where it is spread."""
    spent = {}
    for (pid, _), deltas in window.deltas(Process).items():
        within = [delta for delta in deltas if delta.after.timestamp >= since_ns]
        if pid is not None and within and is_within(within[-1].after.cgroup, path):
            spent[pid] = sum(delta.of(Process.stime_ms) for delta in within), within
    most = max(spent, key=lambda pid: (spent[pid][0], -pid), default=None)
    if most is None or spent[most][0] <= MOST_SHARE * sum(ms for ms, _ in spent.values()):
        return None
    entity = named(window, most)
    return Maker(
        entity,
        f"{entity.name} ({entity.id}) has most of the time in the kernel of {path}",
        window.evidence(samples_of(spent[most][1]), Process.stime_ms, "increase"),
    )


def remedies(culprit: Entity, *, is_known: bool) -> tuple[Proposal, ...]:
    """What gains time, and what to look for."""
    who = culprit.name if is_known else "the program that makes them"
    return (
        DROP_CACHES.on(MACHINE, "drop dentries and inodes that nobody uses (vm.drop_caches=2), to gain time", what=2),
        LOOK.on(culprit, f"see which objects grow (`slabtop -o -s c`), and stop {who}"),
    )
