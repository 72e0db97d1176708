"""Memory that the kernel itself takes for its objects (slab): dentries, inodes, sockets, and what leaks in a driver."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass

from kernelsight.diagnosis.candidate import Candidate
from kernelsight.diagnosis.hypothesis import hypothesis
from kernelsight.diagnosis.memory_use import available_kb, group_limit
from kernelsight.diagnosis.model import Entity, Evidence, Proposal
from kernelsight.diagnosis.processes import is_within, named
from kernelsight.diagnosis.scene import Scene, samples_of
from kernelsight.diagnosis.trend import Trend, straight
from kernelsight.events.cgroup import Cgroup
from kernelsight.events.memory import Memory
from kernelsight.events.pressure import Pressure
from kernelsight.events.process import Process

KIB = 1024
LEAST_S = 8.0
"""How long slab must have grown: one walk over a tree of files is over by then, or is seen to stop later."""
LEAST_SHARE = 0.01
"""Of the memory (of the machine, or of the group's limit), what slab must have grown by: its level goes up and down."""
HORIZON_S = 7200.0
"""A limit that will be met later than in two hours leaves time to look again before."""
FORESIGHT = 60.0
"""How many times as long as it has been seen, steady growth may be expected to go on."""
CANNOT_BE_HAD_SHARE = 0.5
"""Of the growth, the memory that is no longer available, at least: dentries and inodes that nobody uses are dropped
when memory is wanted, and count as available (Documentation/filesystems/proc.rst, SReclaimable, MemAvailable)."""
FULL_SHARE = 0.95
"""Of a group's limit, from which on it is full."""
OF_GROUP_SHARE = 0.5
"""Of what a group uses, the part of slab from which on it is full of slab, and not of its programs' memory."""
STALLED_SHARE = 0.05
"""Of the time, what the tasks of a group wait for memory at least if it is more than a cache that is full."""
MOST_SHARE = 0.5
"""Of the growth, or of the work in the kernel, what one must have of it to be who causes it."""


@dataclass(frozen=True, slots=True)
class SlabGrowth:
    """Slab of the machine that grows at a steady rate, at the cost of memory that can be had."""

    metric: str
    """Column of the kind `memory`: what cannot be reclaimed, where that is told apart."""
    growth: Trend
    total_kb: float
    available_kb: float | None
    lost_kb: float | None
    """Memory that was available when it began and is not any more."""

    @property
    def grown_kb(self) -> float:
        """By how much it grew."""
        return self.growth.last - self.growth.first

    @property
    def until_s(self) -> float | None:
        """Seconds until no memory is available; None where that is not known."""
        return None if self.available_kb is None else self.available_kb / self.growth.per_second

    @property
    def meets_limit(self) -> bool:
        """Whether memory will be used up within the horizon, if it goes on for as long as may be expected."""
        return self.until_s is not None and self.until_s <= min(HORIZON_S, FORESIGHT * self.growth.seconds)


_OF_MACHINE = ("slab_unreclaimable_kb", "slab_kb")
"""What cannot be reclaimed first: where that stays, dentries and inodes may still grow faster than they are dropped."""


@hypothesis("dentry_or_slab_growth")
def kernel_objects_pile_up(scene: Scene) -> Iterable[Candidate]:
    """The kernel's own objects (slab, such as dentries) grow until no memory is left on the machine or in a group."""
    grown = machine_growth(scene)
    if grown is not None:
        yield _of_machine(scene, grown)
    yield from _of_groups(scene)


def machine_growth(scene: Scene) -> SlabGrowth | None:
    """Steady growth of slab that takes memory from the machine; None where there is none."""
    rows = scene.rows(Memory)
    if not rows or not rows[-1].mem_total_kb:
        return None
    total = float(rows[-1].mem_total_kb)
    for metric in _OF_MACHINE:
        going = straight(rows, metric, least_s=LEAST_S)
        if going is not None and going.last - going.first >= LEAST_SHARE * total:
            first, last = (available_kb(going.rows[at]) for at in (0, -1))
            lost = None if first is None or last is None else first - last
            return SlabGrowth(metric, going, total, None if lost is None else last, lost)
    return None


def _of_machine(scene: Scene, grown: SlabGrowth) -> Candidate:
    going = grown.growth
    maker = _who_makes_them(scene, going)
    culprit = maker[0] if maker else Entity("machine", "slab", "slab, the kernel's own memory")
    candidate = Candidate("dentry_or_slab_growth", culprit, going.onset_ns)
    candidate.check("slab grows at a steady rate", True, 2.0, 0.0)
    if grown.lost_kb is None:
        candidate.check("it is known that no memory is left for it", False, 0.0, 2.0)
    else:
        lost = grown.lost_kb >= CANNOT_BE_HAD_SHARE * grown.grown_kb
        candidate.check("as much memory is not available any more: it is not given back when wanted", lost, 1.0, 5.0)
        candidate.check("no memory will be left soon", grown.meets_limit, 1.0, 4.0)
    candidate.step(
        f"{_name_of(grown.metric)} grew from {going.first / KIB:,.0f} to {going.last / KIB:,.0f} MiB, "
        f"{going.per_second / KIB:.1f} MiB a second, of {grown.total_kb / KIB:,.0f} MiB",
        scene.evidence(going.rows, grown.metric, "last"),
        scene.evidence(going.rows, grown.metric, "slope"),
    )
    candidate.step(
        f"{(grown.available_kb or 0) / KIB:,.0f} MiB are available, and were "
        f"{((grown.available_kb or 0) + (grown.lost_kb or 0)) / KIB:,.0f} when it began",
        scene.evidence(going.rows, Memory.mem_available_kb, "last"),
        scene.evidence(going.rows, Memory.zfs_arc_kb, "last") if going.rows[-1].zfs_arc_kb else None,
    )
    if maker:
        candidate.step(f"{culprit.name} makes them: {maker[1]}", maker[2])
    ahead = f" in about {grown.until_s:.0f} s" if grown.until_s is not None else ""
    candidate.outlook = f"no memory is left{ahead}: programs are killed that have no part in it"
    return _concluded(candidate)


def _name_of(metric: str) -> str:
    return "slab that cannot be reclaimed" if metric == "slab_unreclaimable_kb" else "slab"


def _who_makes_them(scene: Scene, going: Trend) -> tuple[Entity, str, Evidence | None] | None:
    """The control group whose slab grew by most of it, and its busiest process in the kernel; None if nothing tells."""
    start = going.onset_ns
    grown: dict[str, tuple[float, list[Cgroup]]] = {}
    for (path,), rows in scene.series(Cgroup).items():
        within = [row for row in rows if row.timestamp >= start and row.memory_slab_bytes is not None]
        if len(within) > 1:
            grown[path] = ((within[-1].memory_slab_bytes or 0) - (within[0].memory_slab_bytes or 0)) / KIB, within
    enough = {path for path, (kb, _) in grown.items() if kb >= MOST_SHARE * (going.last - going.first)}
    # The innermost of those that contain each other.
    inner = [path for path in enough if not any(is_within(other, path) for other in enough - {path})]
    if len(inner) != 1:
        return None
    (path,) = inner
    evidence = scene.evidence(grown[path][1], Cgroup.memory_slab_bytes, "last")
    worker = _busiest_in_kernel(scene, path, start)
    if worker is None:
        return Entity("cgroup", path, path), f"its slab grew by {grown[path][0] / KIB:,.0f} MiB", evidence
    return worker[0], f"it works in the kernel most of its group {path}, whose slab grew", worker[1]


def _busiest_in_kernel(scene: Scene, path: str, start: int) -> tuple[Entity, Evidence | None] | None:
    """The process of a control group that has most of its time in the kernel; None where it is spread."""
    spent = {}
    for (pid, _), changes in scene.deltas(Process).items():
        within = [change for change in changes if change.after.timestamp >= start]
        if pid is not None and within and is_within(within[-1].after.cgroup, path):
            spent[pid] = sum(change.of(Process.stime_ms) for change in within), within
    most = max(spent, key=lambda pid: (spent[pid][0], -pid), default=None)
    if most is None or spent[most][0] <= MOST_SHARE * sum(ms for ms, _ in spent.values()):
        return None
    return named(scene, most), scene.evidence(samples_of(spent[most][1]), Process.stime_ms, "increase")


@dataclass(frozen=True, slots=True)
class KernelMemory:
    """What a control group has of the kernel's own objects: as it says, or what is neither anonymous nor of files."""

    path: str
    rows: Sequence[Cgroup]
    """Those that tell it."""
    limit: float

    @property
    def bytes(self) -> float:
        """At the end."""
        return _kernel_bytes(self.rows[-1]) or 0.0

    @property
    def is_told(self) -> bool:
        """Whether the group says it itself."""
        return self.rows[-1].memory_slab_bytes is not None

    @property
    def is_kept(self) -> bool:
        """Whether most of it cannot be dropped when memory is wanted, as far as the group says."""
        pinned = self.rows[-1].memory_slab_unreclaimable_bytes
        return pinned is not None and pinned >= OF_GROUP_SHARE * self.bytes

    @property
    def fills_it(self) -> bool:
        """Whether the group is full, or will be soon, and of this."""
        current = self.rows[-1].memory_current_bytes
        if current is None or self.bytes < OF_GROUP_SHARE * current:
            return False
        grows = straight(self.rows, "memory_slab_bytes", least_s=LEAST_S) if self.is_told else None
        soon = (
            grows is not None
            and grows.last - grows.first >= LEAST_SHARE * self.limit
            and (self.limit - current) / grows.per_second <= FORESIGHT * grows.seconds
        )
        return soon or current >= FULL_SHARE * self.limit

    @property
    def onset_ns(self) -> int:
        """From when on it had half of what it has at the end."""
        half = self.bytes / 2
        return next(int(row.timestamp) for row in self.rows if (_kernel_bytes(row) or 0.0) >= half)

    def shown(self, scene: Scene) -> tuple[Evidence | None, ...]:
        """The numbers that show it."""
        columns = ("memory_slab_bytes",) if self.is_told else ("memory_anon_bytes", "memory_file_bytes")
        return tuple(scene.evidence(self.rows, name, "last") for name in ("memory_current_bytes", *columns))


def _kernel_bytes(row: Cgroup) -> float | None:
    if row.memory_slab_bytes is not None:
        return float(row.memory_slab_bytes)
    known = [row[name] for name in ("memory_current_bytes", "memory_anon_bytes", "memory_file_bytes")]
    return None if None in known else float(known[0] - known[1] - known[2])


def _of_groups(scene: Scene) -> Iterator[Candidate]:
    """Control groups whose limit is filled by slab, while their tasks wait for memory or are killed for it."""
    for (path,), rows in scene.series(Cgroup).items():
        limit = group_limit(rows[-1])
        if not limit:
            continue
        known = [row for row in rows if _kernel_bytes(row) is not None and row.memory_current_bytes]
        memory = KernelMemory(str(path), known, limit)
        if known and memory.fills_it:
            yield _of_group(scene, memory)


def _of_group(scene: Scene, memory: KernelMemory) -> Candidate:
    path = memory.path
    worker = _busiest_in_kernel(scene, path, memory.onset_ns)
    culprit = worker[0] if worker else Entity("cgroup", path, path)
    candidate = Candidate("dentry_or_slab_growth", culprit, memory.onset_ns)
    stalled = _stalled(scene, path)
    killed = any(change.of(Cgroup.memory_oom_kills) for change in scene.deltas(Cgroup).get((path,), ()))
    hurts = memory.is_kept or killed or stalled >= STALLED_SHARE
    candidate.check("most of what the group uses is the kernel's", True, 1.5, 0.0)
    # A group that is full of what can be dropped is a cache that has warmed up.
    candidate.check("it cannot be dropped, or tasks wait until it is", hurts, 2.0, 5.0)
    candidate.step(
        f"the kernel's objects are {memory.bytes / KIB**2:,.0f} MiB of {path}, which may use "
        f"{memory.limit / KIB**2:,.0f} MiB",
        *memory.shown(scene),
    )
    if stalled:
        changes = scene.deltas(Pressure).get(("memory", path), ())
        candidate.step(
            f"its tasks wait for memory in {stalled:.0%} of the time",
            scene.evidence(samples_of(changes), Pressure.some_total_us, "increase"),
        )
    if worker:
        candidate.step(f"{culprit.name} works in the kernel most of them", worker[1])
    candidate.outlook = "the group's programs wait for memory, or are killed for it"
    return _concluded(candidate)


def _stalled(scene: Scene, path: str) -> float:
    """Of the time that is recorded, the share in which tasks of a group waited for memory."""
    changes = scene.deltas(Pressure).get(("memory", path), ())
    seconds = sum(change.seconds for change in changes)
    return sum(change.of("some_total_us") for change in changes) / 1e6 / seconds if seconds else 0.0


def _concluded(candidate: Candidate) -> Candidate:
    culprit = candidate.culprit
    candidate.refuted_by = "slab shrinks when memory is wanted (`echo 2 > /proc/sys/vm/drop_caches`)"
    who = culprit.name if culprit.kind in {"process", "cgroup"} else "who makes them"
    candidate.actions = (
        Proposal(
            "drop_caches",
            Entity("machine", "memory", "memory"),
            "drop dentries and inodes that nobody uses (vm.drop_caches=2), to gain time",
        ),
        Proposal("look", culprit, f"see which objects grow (`slabtop -o -s c`), and stop {who}"),
    )
    return candidate
