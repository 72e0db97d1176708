"""Processes and the memory that they hold: of the machine, or of a control group with a limit."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import Any, Generic, TypeVar

from kernelsight.diagnosis.identity import process_entity
from kernelsight.diagnosis.model import Entity, Evidence, How
from kernelsight.diagnosis.storage import COMMIT_CALLS
from kernelsight.diagnosis.threshold import Threshold
from kernelsight.diagnosis.waiting import Edge, shown, waiting
from kernelsight.diagnosis.window import CounterDelta, Interval, Window, runs
from kernelsight.events.cgroup import Cgroup
from kernelsight.events.declare import Event
from kernelsight.events.fields import Metric
from kernelsight.events.memory import Memory, Vmstat
from kernelsight.events.pressure import Pressure
from kernelsight.events.process import Process
from kernelsight.events.scheduler import Wait
from kernelsight.signals.rules.memory import MEMORY_USED_PERCENT
from kernelsight.signals.rules.memory import REFAULTS_PER_S as REFAULTS_TOLD_PER_S
from kernelsight.signals.rules.pressure import MEMORY_STALLED_PERCENT

KIB = 1024
PAGE_KB = 4
"""Counters of faults and refaults count pages; on machines with larger ones, this is the least that they are."""
REFAULTS_PER_S = Threshold(
    REFAULTS_TOLD_PER_S / 10,
    "pages/s",
    because="judged: a tenth of what the signal `refaults` tells at, 1 MB/s read again: a slow disk is felt from there "
    "on, and here it only makes a suspect, which the checks then judge",
)
FULL_SHARE = Threshold(
    MEMORY_USED_PERCENT / 100,
    "share of the limit",
    because="judged: as the signal `memory_available_low`; the kernel takes pages back some percent before the limit",
)
STALLED_SHARE = Threshold(
    MEMORY_STALLED_PERCENT / 100,
    "share of the time (PSI, memory, some)",
    because="judged: as the signal `memory_pressure`; to take back clean pages costs a machine less than that",
)
_DELAYS = (
    Process.blkio_delay_ns, Process.swapin_delay_ns, Process.reclaim_delay_ns, Process.thrashing_delay_ns,
)  # fmt: skip

R = TypeVar("R", bound=Event)
C = TypeVar("C", bound=Event)


def available_kb(row: Memory) -> float | None:
    """What can be had of the machine's memory: also what ZFS's cache gives back."""
    available = row.mem_available_kb
    return None if available is None else float(available + (row.zfs_arc_kb or 0))


@dataclass(frozen=True, slots=True)
class Holder:
    """One process, by its samples."""

    samples: Sequence[Process]

    @property
    def pid(self) -> int:
        """Its pid."""
        return self.samples[-1].pid or 0

    @property
    def comm(self) -> str:
        """The name of its program."""
        return str(self.samples[-1].comm or "?")

    @property
    def entity(self) -> Entity:
        """It, as a finding names it."""
        return process_entity(self.pid, self.comm)

    @property
    def held_kb(self) -> float:
        """The most that it had."""
        return max(demand_kb(row) for row in self.samples)

    @property
    def grown_kb(self) -> float:
        """By how much that is more than what it had at first; all of it where it was not there before."""
        return self.held_kb - demand_kb(self.samples[0])

    @property
    def metric(self) -> Metric[Process]:
        """The column that tells how much it has."""
        return Process.anon_kb if self.samples[-1].anon_kb is not None else Process.rss_kb

    @property
    def mapped_kb(self) -> float:
        """The most that it had in memory of files, tmpfs and shared memory."""
        return max(float((row.rss_kb or 0) - (row.anon_kb or 0)) for row in self.samples)

    def deltas(self, window: Window) -> Sequence[CounterDelta[Process]]:
        """What it did from sample to sample."""
        last = self.samples[-1]
        return window.deltas(Process).get((last.pid, last.start_ticks), ())

    @property
    def group(self) -> str | None:
        """Path of the control group that its memory counts to."""
        last = self.samples[-1]
        return last.memory_cgroup or last.cgroup


def demand_kb(row: Process) -> float:
    """What a process needs memory for that cannot be read again from its file, in memory or swapped out."""
    resident = row.anon_kb if row.anon_kb is not None else row.rss_kb
    return float((resident or 0) + (row.swap_kb or 0))


def holders(window: Window) -> list[Holder]:
    """All processes of a window that have memory of their own; use with :meth:`Window.once`."""
    samples = window.series(Process).values()
    return [Holder(rows) for rows in samples if any(demand_kb(row) for row in rows)]


@dataclass(frozen=True, slots=True, kw_only=True)
class Domain(Generic[R, C]):
    """Memory that is limited, and the processes that share it: of the machine, or of a control group."""

    entity: Entity
    limit_kb: float
    """What there may be of it; of the machine's, without what is set apart as huge pages."""
    left_kb: float
    """What can still be had at the end of the window: files that are cached are given up for it."""
    is_group: bool
    """Whether a control group limits it, and not the machine."""
    rows: Sequence[R]
    """They tell how much is in use."""
    deltas: Sequence[CounterDelta[C]]
    """Of the counters: of the group, or of the machine's virtual memory."""
    holders: Sequence[Holder]
    used_share: Callable[[R], float]
    """Of its limit, what is in use by a row."""
    used: Metric[R]
    """The column that tells how much is in use (of a group) or left (of the machine)."""
    used_how: How
    """How the most that was in use comes out of that column."""
    shared: Metric[R]
    """The column that tells what is in tmpfs and shared memory: no file has it, so it cannot be read again."""
    shared_kb_of: Callable[[R], float]
    refaults: tuple[Metric[C], ...] = field(repr=False)
    """The counters of pages that had been pushed out and were needed again."""
    kills: Metric[C]
    """The counter of the processes that the kernel killed for want of it."""

    def came_back(self, delta: CounterDelta[C]) -> float:
        """Pages that had been pushed out and were needed again."""
        return sum(delta.of(metric) for metric in self.refaults)

    @property
    def owner(self) -> str:
        """What has the limit, in a sentence."""
        return self.entity.name if self.is_group else "the machine"

    @property
    def scope(self) -> str:
        """What the stalls of its processes are counted under."""
        return self.entity.id if self.is_group else "system"

    def shared_kb(self, window: Window, run: Interval) -> float:
        """The most that was in tmpfs and shared memory within a stretch."""
        return max(map(self.shared_kb_of, window.within(self.rows, run)), default=0.0)

    @property
    def was_full(self) -> bool:
        """Whether it was short at any time of the window."""
        return any(self.used_share(row) >= FULL_SHARE for row in self.rows)

    def most_used(self, window: Window, run: Interval) -> float:
        """The largest share that was in use within a stretch."""
        return max(map(self.used_share, window.within(self.rows, run) or self.rows[-1:]), default=0.0)

    def shown_used(self, window: Window, rows: Sequence[R], how: How | None = None) -> Evidence | None:
        """The rows that show how much was in use, by default the most that was."""
        return window.evidence(rows, self.used, how or self.used_how)


AnyDomain = Domain[Any, Any]


def machine(window: Window) -> Domain[Memory, Vmstat] | None:
    """The memory of the machine; None where nothing tells it. Use with :meth:`Window.once`."""
    rows = window.rows(Memory)
    if not rows or not rows[-1].mem_total_kb:
        return None
    last = rows[-1]
    limit_kb = float(last.mem_total_kb or 0) - (last.huge_pages_total or 0) * (last.huge_page_size_kb or 0)

    def used_share(row: Memory) -> float:
        available = available_kb(row)
        return 0.0 if available is None or not limit_kb else 1 - available / limit_kb

    return Domain(
        entity=Entity("machine", "memory", "memory"),
        limit_kb=limit_kb,
        left_kb=(available_kb(last) or 0.0) + float(last.swap_free_kb or 0),
        is_group=False,
        rows=rows,
        deltas=[delta for deltas in window.deltas(Vmstat).values() for delta in deltas],
        holders=window.once(holders),
        used_share=used_share,
        used=Memory.mem_available_kb,
        used_how="min",
        shared=Memory.shmem_kb,
        shared_kb_of=lambda row: float(row.shmem_kb or 0),
        refaults=(Vmstat.workingset_refault_anon, Vmstat.workingset_refault_file),
        kills=Vmstat.oom_kill,
    )


def group_limit(row: Cgroup) -> float | None:
    """What a control group may have (B), by the smaller of its two limits; None where it has none."""
    return min((float(limit) for limit in (row.memory_limit_bytes, row.memory_high_bytes) if limit), default=None)


def limited_groups(window: Window) -> list[Domain[Cgroup, Cgroup]]:
    """The control groups that may have less than the machine has, each with the processes in it and below it.

    Use with :meth:`Window.once`.
    """
    whole = max((row.mem_total_kb or 0 for row in window.rows(Memory)), default=0) * KIB
    members: dict[str, list[Holder]] = {}
    for holder in window.once(holders):
        for path in around(holder.group):
            members.setdefault(path, []).append(holder)
    limited = []
    for (path,), rows in window.series(Cgroup).items():
        limit = group_limit(rows[-1])
        if limit and (not whole or limit < whole):
            deltas = window.deltas(Cgroup).get((path,), ())
            limited.append(_limited_group(str(path), limit / KIB, rows, deltas, members.get(str(path), ())))
    return limited


def _limited_group(
    path: str,
    limit_kb: float,
    rows: Sequence[Cgroup],
    deltas: Sequence[CounterDelta[Cgroup]],
    members: Sequence[Holder],
) -> Domain[Cgroup, Cgroup]:
    last = rows[-1]
    own = last.memory_anon_bytes
    in_use = last.memory_current_bytes if own is None else own + (last.memory_shmem_bytes or 0)
    return Domain(
        entity=Entity("cgroup", path, path),
        limit_kb=limit_kb,
        left_kb=limit_kb - float(in_use or 0) / KIB,
        is_group=True,
        rows=rows,
        deltas=deltas,
        holders=members,
        used_share=lambda row: float(row.memory_current_bytes or 0) / KIB / limit_kb,
        used=Cgroup.memory_current_bytes,
        used_how="max",
        shared=Cgroup.memory_shmem_bytes,
        shared_kb_of=lambda row: float(row.memory_shmem_bytes or 0) / KIB,
        refaults=(Cgroup.memory_refaults,),
        kills=Cgroup.memory_oom_kills,
    )


def around(group: str | None) -> list[str]:
    """The paths of a control group and of all that it is in, the innermost first."""
    if group is None:
        return []
    parts = group.strip("/").split("/") if group.strip("/") else []
    return ["/" + "/".join(parts[:end]) for end in range(len(parts), -1, -1)]


def short(window: Window, domain: AnyDomain) -> list[Interval]:
    """The stretches in which pages that had been pushed out were needed again, or tasks stalled for want of memory."""
    stalls = window.deltas(Pressure).get(("memory", domain.scope), ())
    tight = {
        window.second(delta.after): delta.of(Pressure.some_total_us) / 1e6 / delta.seconds / STALLED_SHARE
        for delta in stalls
    }
    for delta in domain.deltas:
        second = window.second(delta.after)
        tight[second] = max(tight.get(second, 0.0), domain.came_back(delta) / delta.seconds / REFAULTS_PER_S)
    return runs(tight, lambda times: times >= 1)


def killed_in(window: Window, domain: AnyDomain, run: Interval) -> bool:
    """Whether the kernel killed a process for want of this memory within a stretch."""
    return any(delta.of(domain.kills) for delta in window.during(domain.deltas, run))


def stalled(window: Window, holder: Holder, run: Interval) -> float:
    """Seconds that the threads of a process waited within a stretch for pages or for what they read."""
    if window.rows(Wait):
        return sum(edge.waited_in(run) for edge in _page_waits(window, holder.pid))
    return sum(delta.of(metric) for delta in window.during(holder.deltas(window), run) for metric in _DELAYS) / 1e9


def stalled_shown(window: Window, holder: Holder, run: Interval) -> Evidence | None:
    """The rows that show it."""
    if window.rows(Wait):
        return shown(window, _page_waits(window, holder.pid), run)
    return window.evidence(window.within(holder.samples, run), Process.blkio_delay_ns, "increase")


def stalls(window: Window, domain: AnyDomain, run: Interval) -> Sequence[CounterDelta[Pressure]]:
    """How long tasks stalled for want of memory within a stretch; nothing where the kernel does not tell it."""
    return window.during(window.deltas(Pressure).get(("memory", domain.scope), ()), run)


def _page_waits(window: Window, pid: int) -> list[Edge]:
    """Waits that more memory would make shorter: not those for what was written to be kept."""
    edges = window.once(waiting).by_waiter.get(pid, ())
    return [edge for edge in edges if edge.state == "uninterruptible" and edge.waits_in not in COMMIT_CALLS]
