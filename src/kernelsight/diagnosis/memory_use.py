"""Who holds memory, and of what: of the machine, or of a control group that may have only so much."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from kernelsight.diagnosis.model import Entity, Evidence, How
from kernelsight.diagnosis.scene import Change, Row, Run, Scene, runs
from kernelsight.diagnosis.storage import COMMIT_CALLS
from kernelsight.diagnosis.waiting import Edge, shown, waiting
from kernelsight.events.cgroup import Cgroup
from kernelsight.events.memory import Memory, Vmstat
from kernelsight.events.pressure import Pressure
from kernelsight.events.process import Process
from kernelsight.events.scheduler import Wait

KIB = 1024
PAGE_KB = 4
"""Counters of faults and refaults count pages; on machines with larger ones, this is the least that they are."""
REFAULTS_PER_S = 256.0
"""A mebibyte a second of what was in memory must be read again: below that no disk is slow enough to be felt."""
FULL_SHARE = 0.9
"""Of its limit, what a domain must have used to be short: the kernel takes pages back some percent before it."""
STALLED_SHARE = 0.1
"""Of the time, in which tasks stall for want of memory: to take back clean pages costs a machine less than that."""
_OF_MACHINE = ("workingset_refault_anon", "workingset_refault_file")
_DELAYS = ("blkio_delay_ns", "swapin_delay_ns", "reclaim_delay_ns", "thrashing_delay_ns")


def available_kb(row: Row) -> float | None:
    """What can be had of the machine's memory, by a row of the kind `memory`: also what ZFS's cache gives back."""
    available = row.mem_available_kb
    return None if available is None else float(available + (row.zfs_arc_kb or 0))


@dataclass(frozen=True, slots=True)
class Holder:
    """One process, by its samples."""

    samples: Sequence[Row]

    @property
    def pid(self) -> int:
        """Its pid."""
        return int(self.samples[-1].pid)

    @property
    def comm(self) -> str:
        """The name of its program."""
        return str(self.samples[-1].comm or "?")

    @property
    def entity(self) -> Entity:
        """It, as a finding names it."""
        return Entity("process", str(self.pid), self.comm)

    @property
    def held_kb(self) -> float:
        """The most that it had."""
        return max(demand_kb(row) for row in self.samples)

    @property
    def grown_kb(self) -> float:
        """By how much that is more than what it had at first; all of it where it was not there before."""
        return self.held_kb - demand_kb(self.samples[0])

    @property
    def metric(self) -> str:
        """The column that tells how much it has."""
        return "anon_kb" if self.samples[-1].anon_kb is not None else "rss_kb"

    @property
    def mapped_kb(self) -> float:
        """The most that it had in memory of files, tmpfs and shared memory."""
        return max(float((row.rss_kb or 0) - (row.anon_kb or 0)) for row in self.samples)

    def changes(self, scene: Scene) -> Sequence[Change]:
        """What it did from sample to sample."""
        last = self.samples[-1]
        return scene.deltas(Process).get((last.pid, last.start_ticks), ())

    @property
    def group(self) -> str | None:
        """Path of the control group that its memory counts to."""
        last = self.samples[-1]
        path: str | None = last.memory_cgroup or last.cgroup
        return path


def demand_kb(row: Row) -> float:
    """What a process needs memory for that cannot be read again from its file, in memory or swapped out."""
    resident = row.anon_kb if row.anon_kb is not None else row.rss_kb
    return float((resident or 0) + (row.swap_kb or 0))


def holders(scene: Scene) -> list[Holder]:
    """All processes of a window that have memory of their own; use with :meth:`Scene.once`."""
    samples = scene.series(Process).values()
    return [Holder(rows) for rows in samples if any(demand_kb(row) for row in rows)]


@dataclass(frozen=True, slots=True)
class Domain:
    """Memory that is limited, and the processes that share it."""

    entity: Entity
    kind: str
    """The kind of event that tells how it is used: `cgroup` or `memory`."""
    rows: Sequence[Row]
    changes: Sequence[Change]
    """Of the counters: of the group, or of the machine's virtual memory."""
    holders: Sequence[Holder]

    @property
    def limit_kb(self) -> float:
        """What there may be of it; of the machine's, without what is set apart as huge pages."""
        last = self.rows[-1]
        if self.kind == "memory":
            return float(last.mem_total_kb or 0) - (last.huge_pages_total or 0) * (last.huge_page_size_kb or 0)
        return (group_limit(last) or 0.0) / KIB

    @property
    def is_group(self) -> bool:
        """Whether a control group limits it, and not the machine."""
        return self.kind == "cgroup"

    def came_back(self, change: Change) -> float:
        """Pages that had been pushed out and were needed again."""
        return sum(change.of(name) for name in self.refault_metrics)

    @property
    def refault_metrics(self) -> tuple[str, ...]:
        """The counters of such pages, in the rows of its changes."""
        return ("memory_refaults",) if self.is_group else _OF_MACHINE

    @property
    def scope(self) -> str:
        """What the stalls of its processes are counted under."""
        return self.entity.id if self.is_group else "system"

    @property
    def used_metric(self) -> str:
        """The column that tells how much is in use (of a group) or left (of the machine)."""
        return "memory_current_bytes" if self.is_group else "mem_available_kb"

    @property
    def used_how(self) -> How:
        """How the most that was in use comes out of that column."""
        return "max" if self.is_group else "min"

    @property
    def shared_metric(self) -> str:
        """The column that tells what is in tmpfs and shared memory: no file has it, so it cannot be read again."""
        return "memory_shmem_bytes" if self.is_group else "shmem_kb"

    def shared_kb(self, run: Run, scene: Scene) -> float:
        """The most of that within a stretch."""
        known = [float(row[self.shared_metric] or 0) for row in scene.within(self.rows, run)]
        return max(known, default=0.0) / (KIB if self.is_group else 1)

    @property
    def was_full(self) -> bool:
        """Whether it was short at any time of the window."""
        return any(self._used(row) >= FULL_SHARE for row in self.rows)

    def most_used(self, run: Run, scene: Scene) -> float:
        """The largest share that was in use within a stretch."""
        rows = scene.within(self.rows, run) or self.rows[-1:]
        return max((self._used(row) for row in rows), default=0.0)

    def _used(self, row: Row) -> float:
        limit = self.limit_kb
        if not limit:
            return 0.0
        if self.is_group:
            return float(row.memory_current_bytes or 0) / KIB / limit
        available = available_kb(row)
        return 0.0 if available is None else 1 - available / limit


def group_limit(row: Row) -> float | None:
    """What a control group may have (B), by the smaller of its two limits; None where it has none."""
    return min((float(row[name]) for name in ("memory_limit_bytes", "memory_high_bytes") if row[name]), default=None)


def machine(scene: Scene) -> Domain | None:
    """The memory of the machine; None where nothing tells it. Use with :meth:`Scene.once`."""
    rows = scene.rows(Memory)
    if not rows or not rows[-1].mem_total_kb:
        return None
    changes = [change for all_changes in scene.deltas(Vmstat).values() for change in all_changes]
    return Domain(Entity("machine", "memory", "memory"), "memory", rows, changes, scene.once(holders))


def limited_groups(scene: Scene) -> list[Domain]:
    """The control groups that may have less than the machine has, each with the processes in it and below it.

    Use with :meth:`Scene.once`.
    """
    whole = max((row.mem_total_kb or 0 for row in scene.rows(Memory)), default=0) * KIB
    members: dict[str, list[Holder]] = {}
    for one in scene.once(holders):
        for path in around(one.group):
            members.setdefault(path, []).append(one)
    found = []
    for (path,), rows in scene.series(Cgroup).items():
        limit = group_limit(rows[-1])
        if limit and (not whole or limit < whole):
            entity = Entity("cgroup", str(path), str(path))
            changes = scene.deltas(Cgroup).get((path,), ())
            found.append(Domain(entity, "cgroup", rows, changes, members.get(str(path), ())))
    return found


def around(group: str | None) -> list[str]:
    """The paths of a control group and of all that it is in, the innermost first."""
    if group is None:
        return []
    parts = group.strip("/").split("/") if group.strip("/") else []
    return ["/" + "/".join(parts[:end]) for end in range(len(parts), -1, -1)]


def short(scene: Scene, domain: Domain) -> list[Run]:
    """The stretches in which pages that had been pushed out were needed again, or tasks stalled for want of memory."""
    stalls = scene.deltas(Pressure).get(("memory", domain.scope), ())
    tight = {
        scene.second(one.after): one.of(Pressure.some_total_us) / 1e6 / one.seconds / STALLED_SHARE for one in stalls
    }
    for change in domain.changes:
        second = scene.second(change.after)
        tight[second] = max(tight.get(second, 0.0), domain.came_back(change) / change.seconds / REFAULTS_PER_S)
    return runs(tight, lambda times: times >= 1)


def killed_in(scene: Scene, domain: Domain, run: Run) -> bool:
    """Whether the kernel killed somebody for want of this memory within a stretch."""
    counter = "memory_oom_kills" if domain.is_group else "oom_kill"
    return any(change.of(counter) for change in scene.during(domain.changes, run))


def stalled(scene: Scene, holder: Holder, run: Run) -> float:
    """Seconds that the threads of a process waited within a stretch for pages or for what they read."""
    if scene.rows(Wait):
        return sum(edge.waited_in(run) for edge in _page_waits(scene, holder.pid))
    changes = scene.during(holder.changes(scene), run)
    return sum(change.of(metric) for change in changes for metric in _DELAYS) / 1e9


def stalled_shown(scene: Scene, holder: Holder, run: Run) -> Evidence | None:
    """The rows that show it."""
    if scene.rows(Wait):
        return shown(scene, _page_waits(scene, holder.pid), run)
    return scene.evidence(scene.within(holder.samples, run), Process.blkio_delay_ns, "increase")


def stalls(scene: Scene, domain: Domain, run: Run) -> Sequence[Change]:
    """How long tasks stalled for want of memory within a stretch; nothing where the kernel does not tell it."""
    return scene.during(scene.deltas(Pressure).get(("memory", domain.scope), ()), run)


def _page_waits(scene: Scene, pid: int) -> list[Edge]:
    """Waits that more memory would make shorter: not those for what was written to be kept."""
    edges = scene.once(waiting).by_waiter.get(pid, ())
    return [edge for edge in edges if edge.state == "uninterruptible" and edge.waits_in not in COMMIT_CALLS]
