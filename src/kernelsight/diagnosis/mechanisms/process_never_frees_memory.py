"""A process that takes memory at a steady rate and does not give it back."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import replace

from kernelsight.diagnosis.exhaustible import HORIZON_S
from kernelsight.diagnosis.faults.memory_leak import MEMORY_LEAK
from kernelsight.diagnosis.mechanism import Explanation, Mechanism, Prior
from kernelsight.diagnosis.memory_growth import (
    ALIVE_S,
    GROWTH_CHECKS,
    LEAST_KB,
    LEAST_S,
    MAPPED_SHARE,
    STEADY,
    MemoryGrowth,
    explanation,
    grown_by,
    has_more_to_do,
    kills_meanwhile,
    largest_fall_kb,
    matters,
    seconds_of_work,
    somebody_suffers,
)
from kernelsight.diagnosis.memory_use import KIB, AnyDomain, Holder, around, holders, limited_groups, machine
from kernelsight.diagnosis.model import Entity
from kernelsight.diagnosis.threshold import Threshold
from kernelsight.diagnosis.trend import Trend, straight
from kernelsight.diagnosis.window import NS_PER_S, Window, moment
from kernelsight.events.fields import Field, row_getter
from kernelsight.events.memory import Memory
from kernelsight.events.process import Process
from kernelsight.quantities import quantity

OWN_SHARE = Threshold(
    0.5,
    "share of what its resident memory grew by",
    because="judged: from there on it is its own memory that grows, or that of the machine, and not pages of files",
)
SAME_MEMORY = Threshold(
    1.5,
    "times what the shared memory of the machine grew by",
    because="judged: processes that grow by more together have mapped the same of it",
)


def measure(window: Window) -> Iterable[MemoryGrowth]:
    """The processes that grow at a steady rate and meet a limit within the horizon."""
    for growth in window.once(process_growths):
        holder, going = growth.holder, growth.trend
        yield replace(
            growth,
            read_kb=grown_by(window, holder, going, Process.read_chars) / KIB,
            worked_s=seconds_of_work(window, holder, going),
            room_kb=_reserved_kb(holder, going),
            is_busier=has_more_to_do(holder),
            memory_is_short=somebody_suffers(window, growth.domain, going),
            somebody_is_killed=kills_meanwhile(window, growth.domain, going),
        )


def process_growths(window: Window) -> Sequence[MemoryGrowth]:
    """Those processes, with nothing else known of them. Use with :meth:`Window.once`."""
    end = max(map(moment, window.rows(Process)), default=0)
    groups = {group.entity.id: group for group in window.once(limited_groups)}
    whole = window.once(machine)
    growing = []
    for holder in window.once(holders):
        is_alive = end - moment(holder.samples[-1]) <= ALIVE_S * NS_PER_S
        metric = _what_grows(holder.samples) if is_alive else None
        if metric is None:
            continue
        going = straight(holder.samples, metric, least_s=LEAST_S)
        is_shared = metric is Process.rss_kb
        if not matters(going) or (is_shared and not _is_memory(window, going)):
            continue
        limits: list[AnyDomain] = [groups[path] for path in around(holder.group) if path in groups]
        limits += [whole] if whole else []
        if limits:
            until_s, domain = min(((_until_s(limit, going.per_second), limit) for limit in limits), key=_soonest)
            given_back = largest_fall_kb(holder.samples, metric)
            growing.append(MemoryGrowth(holder, going, domain, until_s, is_shared, given_back_kb=given_back))
    return [growth for growth in _together(_once(window, growing)) if growth.until_s <= HORIZON_S]


def _until_s(domain: AnyDomain, per_second: float) -> float:
    return max(0.0, domain.left_kb) / per_second


def _soonest(pair: tuple[float, AnyDomain]) -> float:
    return pair[0]


def _what_grows(rows: Sequence[Process]) -> Field[Process, int | None] | None:
    """The column that tells how a process grows: of its own memory, in memory or swapped out, else of all it has."""
    levels = zip(*map(row_getter(Process.anon_kb, Process.swap_kb, Process.rss_kb), rows), strict=True)
    anon, swap, resident = map(_grown, levels)
    metric, grown = (Process.anon_kb, anon) if anon >= swap else (Process.swap_kb, swap)
    if grown < OWN_SHARE * resident:
        metric, grown = Process.rss_kb, resident
    return metric if grown >= LEAST_KB else None


def _grown(levels: Iterable[int | None]) -> float:
    known = [level for level in levels if level is not None]
    return float(known[-1] - min(known)) if known else 0.0


def _is_memory(window: Window, going: Trend) -> bool:
    """Whether a resident size that grows is memory, and not pages of files that the process has mapped.

    It is shared memory if that of the machine grows as fast.
    """
    if going.rows[-1].anon_kb is None:
        return True
    levels = [
        row.shmem_kb for row in window.rows(Memory) if row.timestamp >= going.onset_ns and row.shmem_kb is not None
    ]
    return bool(levels) and levels[-1] - levels[0] >= OWN_SHARE * (going.last - going.first)


def _once(window: Window, growing: Sequence[MemoryGrowth]) -> Sequence[MemoryGrowth]:
    """The same; of several processes that map the same shared memory, only the one that maps most of it."""
    shared = [growth for growth in growing if growth.is_shared]
    if len(shared) < 2:
        return growing
    begin = min(growth.trend.onset_ns for growth in shared)
    levels = [row.shmem_kb for row in window.rows(Memory) if row.timestamp >= begin and row.shmem_kb]
    grown = [growth.grown_kb for growth in shared]
    if not levels or sum(grown) <= SAME_MEMORY * (levels[-1] - levels[0]):
        return growing
    first = shared[grown.index(max(grown))]
    return [growth for growth in growing if not growth.is_shared or growth is first]


def _together(growing: Sequence[MemoryGrowth]) -> list[MemoryGrowth]:
    """The same, with when they will have used their memory up together."""
    rates: dict[Entity, float] = {}
    for growth in growing:
        rates[growth.domain.entity] = rates.get(growth.domain.entity, 0.0) + growth.trend.per_second
    return [replace(growth, until_s=_until_s(growth.domain, rates[growth.domain.entity])) for growth in growing]


def _reserved_kb(holder: Holder, going: Trend) -> float | None:
    """What is not yet in memory of what a process had mapped when it began to grow; None where it maps more."""
    since = [row for row in holder.samples if row.timestamp >= going.onset_ns]
    mapped = [float(row.vsize_kb) for row in since if row.vsize_kb is not None]
    if not mapped or mapped[-1] - mapped[0] >= MAPPED_SHARE * (going.last - going.first):
        return None
    return max(0.0, mapped[-1] - float(since[-1].rss_kb or 0) - float(since[-1].swap_kb or 0))


def explain(window: Window, growth: MemoryGrowth) -> Explanation:
    """The process takes the memory that is left."""
    culprit = growth.holder.entity
    going = growth.trend
    does = f"grows by {quantity(going.per_second, 'KiB/s')}"
    return explanation(
        window, growth, f"{culprit.name} ({culprit.id})", does=does, detail=f"{quantity(going.last, 'KiB')} so far"
    )


MECHANISM = Mechanism[MemoryGrowth](
    fault=MEMORY_LEAK,
    summary="The memory of a process grows at a steady rate, and will meet its limit within two hours.",
    measure=measure,
    prior=Prior(3.0, because=STEADY),
    checks=GROWTH_CHECKS,
    explain=explain,
)
