"""The kernel's own objects (slab) that take the memory of a control group, so that its programs wait for memory."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from kernelsight.diagnosis.exhaustible import GROUP_MEMORY
from kernelsight.diagnosis.faults.dentry_or_slab_growth import DENTRY_OR_SLAB_GROWTH
from kernelsight.diagnosis.mechanism import Check, Explanation, Mechanism, Prior, claim, path
from kernelsight.diagnosis.memory_use import KIB, group_limit
from kernelsight.diagnosis.model import Entity, Evidence
from kernelsight.diagnosis.slab import LEAST_S, LEAST_SHARE, REFUTED_BY, Maker, busiest_in_kernel, remedies
from kernelsight.diagnosis.threshold import Threshold
from kernelsight.diagnosis.trend import straight
from kernelsight.diagnosis.window import CounterDelta, Window, samples_of
from kernelsight.events.cgroup import Cgroup
from kernelsight.events.pressure import Pressure
from kernelsight.signals.rules.pressure import MEMORY_STALLED_PERCENT

FULL_SHARE = Threshold(0.95, "share of the limit of the cgroup", because="judged: from there on it is full")
SLAB_SHARE = Threshold(
    0.5,
    "share of what the cgroup uses",
    because="judged: from so much slab on, it is full of slab and not of the memory of its programs",
)
STALLED_SHARE = Threshold(
    MEMORY_STALLED_PERCENT / 100 / 2,
    "share of the time",
    because="judged: tasks of a cgroup whose cache is full wait for memory less; half of what the signal "
    "`memory_pressure_of_group` tells at",
)


@dataclass(frozen=True, slots=True)
class GroupSlab:
    """A control group that is full of the kernel's own objects, or will be soon."""

    path: str
    rows: Sequence[Cgroup]
    """Those that tell how much it has of them."""
    slab_bytes: float
    """At the end."""
    limit_bytes: float
    is_told: bool
    """Whether the group says it itself; else it is what is neither anonymous memory nor of files."""
    is_pinned: bool
    """Whether most of it cannot be dropped when memory is wanted, as far as the group says."""
    is_killed: bool
    """Whether the kernel killed a process of the group for want of memory."""
    pressure: Sequence[CounterDelta[Pressure]]
    """Of its memory."""
    stalled_share: float
    """Of the time, the share in which tasks of the group waited for memory."""
    onset_ns: int
    """From when on it had half of what it has at the end."""
    maker: Maker | None


def measure(window: Window) -> Iterable[GroupSlab]:
    """Each control group that is full, or will be soon, and mostly of slab."""
    for (group,), rows in window.series(Cgroup).items():
        limit = group_limit(rows[-1])
        known = [row for row in rows if _slab_bytes(row) is not None and row.memory_current_bytes]
        if not limit or not known or not _fills_it(known, limit):
            continue
        last = known[-1]
        slab = _slab_bytes(last) or 0.0
        pinned = last.memory_slab_unreclaimable_bytes
        pressure = window.deltas(Pressure).get(("memory", group), ())
        onset_ns = next(row.timestamp for row in known if (_slab_bytes(row) or 0.0) >= slab / 2)
        yield GroupSlab(
            path=group,
            rows=known,
            slab_bytes=slab,
            limit_bytes=limit,
            is_told=last.memory_slab_bytes is not None,
            is_pinned=pinned is not None and pinned >= SLAB_SHARE * slab,
            is_killed=any(delta.of(Cgroup.memory_oom_kills) for delta in window.deltas(Cgroup).get((group,), ())),
            pressure=pressure,
            stalled_share=_stalled_share(pressure),
            onset_ns=onset_ns,
            maker=busiest_in_kernel(window, group, onset_ns),
        )


def _slab_bytes(row: Cgroup) -> float | None:
    """What a group has of the kernel's own objects; None where nothing tells."""
    if row.memory_slab_bytes is not None:
        return float(row.memory_slab_bytes)
    current, anonymous, files = row.memory_current_bytes, row.memory_anon_bytes, row.memory_file_bytes
    if current is None or anonymous is None or files is None:
        return None
    return float(current - anonymous - files)


def _fills_it(rows: Sequence[Cgroup], limit: float) -> bool:
    """Whether a group is full, or will be soon, and mostly of slab."""
    last = rows[-1]
    current = float(last.memory_current_bytes or 0)
    if (_slab_bytes(last) or 0.0) < SLAB_SHARE * current:
        return False
    is_told = last.memory_slab_bytes is not None
    growth = straight(rows, Cgroup.memory_slab_bytes, least_s=LEAST_S) if is_told else None
    soon = (
        growth is not None
        and growth.last - growth.first >= LEAST_SHARE * limit
        and GROUP_MEMORY.is_foreseen((limit - current) / growth.per_second, growth.seconds)
    )
    return soon or current >= FULL_SHARE * limit


def _stalled_share(pressure: Sequence[CounterDelta[Pressure]]) -> float:
    seconds = sum(delta.seconds for delta in pressure)
    return sum(delta.of(Pressure.some_total_us) for delta in pressure) / 1e6 / seconds if seconds else 0.0


def explain(window: Window, suspect: GroupSlab) -> Explanation:
    """The programs of the group wait for memory that slab has."""
    maker = suspect.maker
    culprit = maker.entity if maker else Entity("cgroup", suspect.path, suspect.path)
    return Explanation(
        culprit=culprit,
        onset_ns=suspect.onset_ns,
        does=f"fills the memory of {suspect.path} with objects of the kernel"
        if maker
        else "is full of objects of the kernel",
        detail=f"{suspect.slab_bytes / KIB**2:,.0f} of {suspect.limit_bytes / KIB**2:,.0f} MiB",
        harm="",
        suffering_s=0.0,
        path=path(
            claim(
                f"{suspect.path} may use {suspect.limit_bytes / KIB**2:,.0f} MiB, and the kernel's objects take "
                f"{suspect.slab_bytes / KIB**2:,.0f} MiB of that",
                *_shown(window, suspect),
            ),
            claim(
                f"its tasks wait for memory in {suspect.stalled_share:.0%} of the time",
                window.evidence(samples_of(suspect.pressure), Pressure.some_total_us, "increase"),
            )
            if suspect.stalled_share
            else None,
            claim(maker.claim, maker.evidence) if maker else None,
        ),
        refuted_by=REFUTED_BY,
        outlook=f"the programs of {suspect.path} wait for memory, or the kernel kills them for it",
        actions=remedies(culprit, is_known=True),
    )


def _shown(window: Window, suspect: GroupSlab) -> Iterable[Evidence | None]:
    yield window.evidence(suspect.rows, Cgroup.memory_current_bytes, "last")
    told = [Cgroup.memory_slab_bytes] if suspect.is_told else [Cgroup.memory_anon_bytes, Cgroup.memory_file_bytes]
    yield from (window.evidence(suspect.rows, metric, "last") for metric in told)


MECHANISM = Mechanism[GroupSlab](
    fault=DENTRY_OR_SLAB_GROWTH,
    summary="The kernel's own objects fill the memory that a control group may use, and its programs wait for memory.",
    measure=measure,
    prior=Prior(
        1.5,
        because="judged: only a group that is full, or will be soon, and mostly of the kernel's objects, is a suspect",
    ),
    checks=(
        Check(
            id="harms",
            says="it cannot be dropped, or tasks wait until it is, or are killed",
            holds=lambda suspect: suspect.is_pinned or suspect.is_killed or suspect.stalled_share >= STALLED_SHARE,
            supports=2.0,
            refutes=5.0,
            because="judged: a group that is full of what can be dropped is a cache that has warmed up",
        ),
    ),
    explain=explain,
)
