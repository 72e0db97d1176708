"""The kernel's own objects (slab) that take the memory of the machine."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

from kernelsight.diagnosis.exhaustible import MEMORY
from kernelsight.diagnosis.faults.dentry_or_slab_growth import DENTRY_OR_SLAB_GROWTH
from kernelsight.diagnosis.mechanism import Check, Explanation, Mechanism, Prior, claim, path
from kernelsight.diagnosis.memory_use import KIB, available_kb
from kernelsight.diagnosis.model import Entity
from kernelsight.diagnosis.processes import is_within
from kernelsight.diagnosis.slab import LEAST_S, LEAST_SHARE, MOST_SHARE, REFUTED_BY, Maker, busiest_in_kernel, remedies
from kernelsight.diagnosis.threshold import Threshold
from kernelsight.diagnosis.trend import Trend, straight
from kernelsight.diagnosis.window import Window
from kernelsight.events.cgroup import Cgroup
from kernelsight.events.fields import Field
from kernelsight.events.memory import Memory
from kernelsight.quantities import quantity

LOST_SHARE = Threshold(
    0.5,
    "share of the growth",
    because="judged: of slab that is given back when memory is wanted, less is missing; dentries and inodes that "
    "nobody uses count as available (Documentation/filesystems/proc.rst, SReclaimable, MemAvailable)",
)
_SLAB = {
    Memory.slab_unreclaimable_kb: "slab that cannot be reclaimed",
    Memory.slab_kb: "slab",
}
"""What cannot be reclaimed first: where that stays, dentries and inodes may still grow faster than they are dropped."""


@dataclass(frozen=True, slots=True)
class SlabGrowth:
    """Slab of the machine that grows at a steady rate."""

    metric: Field[Memory, int | None]
    """What cannot be reclaimed, where that is told apart."""
    growth: Trend
    total_kb: float
    available_kb: float | None
    """Memory that can be had at the end."""
    lost_kb: float | None
    """Memory that could be had when it began and cannot any more; None where that is not known."""
    maker: Maker | None

    @property
    def grown_kb(self) -> float:
        """By how much it grew."""
        return self.growth.last - self.growth.first

    @property
    def until_s(self) -> float | None:
        """Seconds until no memory is left; None where that is not known."""
        return None if self.available_kb is None else self.available_kb / self.growth.per_second

    @property
    def ends_soon(self) -> bool:
        """Whether no memory will be left soon, if it goes on for as long as may be expected."""
        return MEMORY.is_foreseen(self.until_s, self.growth.seconds)


def measure(window: Window) -> Iterable[SlabGrowth]:
    """Slab of the machine, where it grows at a steady rate."""
    rows = window.rows(Memory)
    total_kb = float(rows[-1].mem_total_kb or 0) if rows else 0.0
    if not total_kb:
        return
    for metric in _SLAB:
        growth = straight(rows, metric, least_s=LEAST_S)
        if growth is not None and growth.last - growth.first >= LEAST_SHARE * total_kb:
            first, last = (available_kb(growth.rows[at]) for at in (0, -1))
            lost = None if first is None or last is None else first - last
            yield SlabGrowth(
                metric, growth, total_kb, None if lost is None else last, lost, maker=_maker(window, growth)
            )
            return


def _maker(window: Window, growth: Trend) -> Maker | None:
    """The control group whose slab grew by most of it, and its busiest process in the kernel; None if nothing tells."""
    grown: dict[str, tuple[float, list[Cgroup]]] = {}
    for (path_of,), rows in window.series(Cgroup).items():
        within = [row for row in rows if row.timestamp >= growth.onset_ns and row.memory_slab_bytes is not None]
        if len(within) > 1:
            grown[path_of] = ((within[-1].memory_slab_bytes or 0) - (within[0].memory_slab_bytes or 0)) / KIB, within
    enough = {path_of for path_of, (kb, _) in grown.items() if kb >= MOST_SHARE * (growth.last - growth.first)}
    innermost = [path_of for path_of in enough if not any(is_within(other, path_of) for other in enough - {path_of})]
    if len(innermost) != 1:
        return None
    [group] = innermost
    grown_kb, within = grown[group]
    return busiest_in_kernel(window, group, growth.onset_ns) or Maker(
        Entity("cgroup", group, group),
        f"the slab of {group} grew by {grown_kb / KIB:,.0f} MiB",
        window.evidence(within, Cgroup.memory_slab_bytes, "last"),
    )


def explain(window: Window, suspect: SlabGrowth) -> Explanation:
    """Programs that have no part in it will be killed for want of memory."""
    growth, maker = suspect.growth, suspect.maker
    culprit = maker.entity if maker else Entity("machine", "slab", "slab, the kernel's own memory")
    has, had = (suspect.available_kb or 0) / KIB, ((suspect.available_kb or 0) + (suspect.lost_kb or 0)) / KIB
    ahead = f" in about {suspect.until_s:.0f} s" if suspect.until_s is not None else ""
    return Explanation(
        culprit=culprit,
        onset_ns=growth.onset_ns,
        does="makes the memory of the kernel (slab) grow" if maker else "grows",
        detail=quantity(growth.per_second, "KiB/s"),
        harm="",
        suffering_s=0.0,
        path=path(
            claim(
                f"{_SLAB[suspect.metric]} grew from {growth.first / KIB:,.0f} to {growth.last / KIB:,.0f} MiB, "
                f"{growth.per_second / KIB:.1f} MiB a second, of {suspect.total_kb / KIB:,.0f} MiB that the machine "
                f"has",
                window.evidence(growth.rows, suspect.metric, "last"),
                window.evidence(growth.rows, suspect.metric, "slope"),
            ),
            claim(
                f"{has:,.0f} MiB of memory are available; {had:,.0f} MiB were when slab began to grow",
                window.evidence(growth.rows, Memory.mem_available_kb, "last"),
                window.evidence(growth.rows, Memory.zfs_arc_kb, "last") if growth.rows[-1].zfs_arc_kb else None,
            ),
            claim(maker.claim, maker.evidence) if maker else None,
        ),
        refuted_by=REFUTED_BY,
        outlook=f"no memory is left{ahead}, and the kernel kills programs that have no part in it",
        actions=remedies(culprit, is_known=maker is not None),
    )


MECHANISM = Mechanism[SlabGrowth](
    fault=DENTRY_OR_SLAB_GROWTH,
    summary="The kernel's own objects take ever more of the machine's memory, and it does not get that back.",
    measure=measure,
    prior=Prior(
        2.0,
        because="judged: only slab that grows in a straight line by a good part of the memory is a suspect; what grows "
        "with the work of programs stops with it",
    ),
    checks=(
        Check(
            id="available_is_known",
            says="it is known how much memory is left",
            holds=lambda suspect: suspect.lost_kb is not None,
            supports=0.0,
            refutes=2.0,
            because="judged: without it, slab that is given back when wanted looks alike",
        ),
        Check(
            id="not_given_back",
            says="as much memory is not available any more: the kernel does not give it back when it is wanted",
            holds=lambda suspect: None if suspect.lost_kb is None else suspect.lost_kb >= LOST_SHARE * suspect.grown_kb,
            supports=1.0,
            refutes=5.0,
            because="judged: dentries of a walk over many files are dropped when memory is wanted, and harm nobody",
        ),
        Check(
            id="ends_soon",
            says="no memory will be left soon",
            holds=lambda suspect: None if suspect.lost_kb is None else suspect.ends_soon,
            supports=1.0,
            refutes=4.0,
            because="judged: slab that grows slowly leaves time to look again before",
        ),
    ),
    explain=explain,
)
