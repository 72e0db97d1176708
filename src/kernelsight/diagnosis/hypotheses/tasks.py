"""Limits on the number of tasks: programs cannot start others, often because of children that nobody waits for."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass

from kernelsight.diagnosis.candidate import Candidate
from kernelsight.diagnosis.families import families
from kernelsight.diagnosis.hypothesis import hypothesis
from kernelsight.diagnosis.identity import process_entity
from kernelsight.diagnosis.limit_use import MET_SHARE, LimitUse, uid_of, use_of
from kernelsight.diagnosis.limits import FORKS
from kernelsight.diagnosis.model import Entity, Evidence, Proposal
from kernelsight.diagnosis.processes import Process, is_within, named, processes
from kernelsight.diagnosis.scene import CounterDelta, Run, Scene, grouped, runs, samples_of
from kernelsight.diagnosis.trend import Trend, trend
from kernelsight.events.cgroup import Cgroup
from kernelsight.events.declare import Event
from kernelsight.events.process import Process as ProcessSample
from kernelsight.events.syscalls import SyscallError

HORIZON_S = 900.0
"""A limit that will be met later than this is nobody's trouble yet."""
FORESIGHT = 40.0
"""How many times as long as it has been seen, growth without a step back may be expected to go on."""
LEAST_GROWTH = 20
"""Tasks: fewer come and go with the work."""
NEARLY_FULL = 0.8
"""Of the limit, from which on growth towards it is looked at where nothing but that is known: servers grow as they
start, and stop well below a limit that somebody chose for them."""
ZOMBIES_PILE_UP = 10
"""Children that have ended and that their parent has not waited for: more than a busy parent is ever behind."""
AGAIN = 3
"""Forks that fail from which on it is no single try."""
MOST_SHARE = 0.5
"""Of the tasks that are seen, those of one owner from which on it is the one that fills the limit."""
MOST_DEAD_SHARE = 0.25
"""The same of zombies: what does nothing any more has a sample a minute, and others have one a second."""
STORM_PER_S = 30.0
"""Children a second of one program from which on the limit is met by a storm of them (`fork_storm`)."""


@dataclass(frozen=True, slots=True)
class Owner:
    """Who has most of the tasks that a limit counts, as far as samples show them."""

    entity: Entity
    tasks: int
    of_seen: int
    """Tasks that are seen at all; quiet processes have a sample a minute."""
    zombies: bool
    """Its tasks are children that have ended and that it does not wait for."""
    evidence: Evidence | None

    @property
    def is_most(self) -> bool:
        """Whether it has most of what is seen."""
        return self.tasks >= (MOST_DEAD_SHARE if self.zombies else MOST_SHARE) * self.of_seen


@dataclass(frozen=True, slots=True)
class TaskUse:
    """One limit of tasks within the window: its use, what it refused, and who has the tasks."""

    name: str
    """Of the limit, as people know it."""
    place: Entity
    """Where it is set: the control group, or the limit itself."""
    used: int | None
    maximum: int | None
    refusals: Sequence[CounterDelta[Cgroup]]
    """Changes of the group's counter of refused forks, from the first refusal on."""
    failed: Sequence[SyscallError]
    """Of the kind `syscall_error`: forks that failed with EAGAIN."""
    growth: Trend | None
    """Towards the limit, if it will be met within the horizon."""
    shown: tuple[Evidence | None, ...]
    owner: Owner | None

    @property
    def refused(self) -> float:
        """Forks that were refused."""
        counted = sum(change.of(Cgroup.pids_limit_events) for change in self.refusals)
        return max(counted, float(sum(row.count or 0 for row in self.failed)))

    @property
    def onset_ns(self) -> int:
        """When the first fork was refused, or the growth began."""
        first = [int(self.refusals[0].after.timestamp)] if self.refusals else []
        first += [int(row.timestamp) for row in self.failed[:1]]
        if not first and self.growth is not None:
            first = [self.growth.onset_ns]
        return min(first)


@hypothesis("task_limit")
def no_more_tasks(scene: Scene) -> Iterable[Candidate]:
    """Programs cannot start processes or threads: a control group, a user or the machine has as many as it may have."""
    explained: set[int | None] = set()
    for rows in scene.series(Cgroup).values():
        use = _of_group(scene, rows)
        if use is not None:
            explained.update(row.pid for row in use.failed)
            yield _candidate(scene, use)
    failed = [row for row in _failed_forks(scene) if row.pid not in explained]
    for of_user in _by_user(scene, failed):
        yield _candidate(scene, _of_user(scene, of_user))


def _failed_forks(scene: Scene) -> list[SyscallError]:
    return [
        row for row in scene.rows(SyscallError) if row.error == "EAGAIN" and row.syscall_name in FORKS
    ]  # fmt: skip


def _by_user(scene: Scene, failed: Sequence[SyscallError]) -> Iterator[Sequence[SyscallError]]:
    """Failed forks by the user of who asked."""
    by_user: dict[int | None, list[SyscallError]] = {}
    for row in failed:
        by_user.setdefault(uid_of(scene, row.pid or 0), []).append(row)
    yield from by_user.values()


def _of_group(scene: Scene, rows: Sequence[Cgroup]) -> TaskUse | None:
    """The use of a control group's limit; None where it refuses nothing, is not met and will not be soon."""
    last = rows[-1]
    path, maximum = str(last.cgroup), last.pids_limit
    changes = scene.deltas(Cgroup).get((path,), ())
    first = next((at for at, change in enumerate(changes) if change.of(Cgroup.pids_limit_events) > 0), None)
    refusals = changes[first:] if first is not None else ()
    used = max((row.pids_current for row in rows if row.pids_current is not None), default=None)
    full = bool(maximum and used is not None and used >= MET_SHARE * maximum)
    growth = _growth(rows, "pids_current", maximum)
    if not refusals and not full and growth is None:
        return None
    if not full and any(other != path and is_within(other, path) for other in scene.once(_refusing)):
        return None  # a group below is full, and its refusals count for all above it
    members = _members(scene, path, refuses=bool(refusals))
    pids = {one.pid for one in members}
    failed = [row for row in _failed_forks(scene) if row.pid in pids] if refusals or full else []
    owner = _owner(scene, members)
    grows = growth is not None and (
        (owner is not None and owner.zombies) or growth.last >= NEARLY_FULL * float(maximum or 0)
    )
    if not refusals and not failed and not grows:
        return None
    return TaskUse(
        name="pids.max",
        place=Entity("cgroup", path, path),
        used=used,
        maximum=maximum,
        refusals=refusals,
        failed=failed,
        growth=growth,
        shown=(
            scene.evidence(rows, Cgroup.pids_current, "max"),
            scene.evidence(rows, Cgroup.pids_limit, "last"),
        ),
        owner=owner,
    )


def _members(scene: Scene, path: str, *, refuses: bool) -> list[Process]:
    """The processes of a group, and their children that have ended.

    Of version 1 a process is in a group of each controller, and its samples name that of another one: then those
    belong to the only group that refuses forks whose forks fail. What has ended belongs to no group any more.
    """
    known = scene.once(processes)
    inside = {one.pid for one in known.values() if is_within(one.group, path)}
    if not inside and refuses and scene.once(_refusing) == [path]:
        inside = {row.pid for row in _failed_forks(scene) if row.pid is not None}
    dead = {one.pid for one in known.values() if one.samples and one.samples[-1].state == "Z" and one.parent in inside}
    return [known[pid] for pid in sorted(inside | dead) if pid in known]


def _refusing(scene: Scene) -> list[str]:
    """The groups that refuse forks, at a limit of their own or of a group below. Use with :meth:`Scene.once`."""
    return [
        str(path)
        for (path,), changes in scene.deltas(Cgroup).items()
        if any(change.of(Cgroup.pids_limit_events) > 0 for change in changes)
    ]


def _of_user(scene: Scene, failed: Sequence[SyscallError]) -> TaskUse:
    """The limit that forks met outside of any group that is full: the machine's, or else the user's."""
    uid = uid_of(scene, failed[0].pid or 0)
    for name in ("kernel.threads-max", "kernel.pid_max"):
        use = use_of(scene, name)
        if use.is_met:
            everybody = list(scene.once(processes).values())
            return _of_limit(scene, name, use, failed, _owner(scene, everybody))
    of_user = [one for one in scene.once(processes).values() if uid is None or _uid(one) == uid]
    owner = _owner(scene, of_user)
    if uid is None and owner is not None and not owner.zombies:
        owner = None  # whose tasks count is not known; children that nobody waits for are a fault anyway
    return _of_limit(scene, "RLIMIT_NPROC", LimitUse(()), failed, owner)


def _of_limit(scene: Scene, name: str, use: LimitUse, failed: Sequence[SyscallError], owner: Owner | None) -> TaskUse:
    known = use.is_met is not None
    return TaskUse(
        name=name,
        place=Entity("limit", name, name),
        used=use.fullest.used if known else None,
        maximum=use.fullest.maximum if known else None,
        refusals=(),
        failed=failed,
        growth=None,
        shown=use.shown(scene) if known else (),
        owner=owner,
    )


def _growth(rows: Sequence[Event], metric: str, maximum: int | None) -> Trend | None:
    going = trend(rows, metric, up=True) if maximum else None
    if going is None or maximum is None or going.last - going.first < LEAST_GROWTH or going.has_stopped:
        return None
    until = going.seconds_to(float(maximum))
    return going if until is not None and until <= min(HORIZON_S, FORESIGHT * going.seconds) else None


def _uid(one: Process) -> int | None:
    return one.samples[-1].uid if one.samples else None


def _owner(scene: Scene, members: Sequence[Process]) -> Owner | None:
    """Who has most of the tasks of some processes: the parent of most zombies, a process by its threads, a parent."""
    sampled = [one.samples[-1] for one in members if one.samples]
    zombies = [row for row in sampled if row.state == "Z"]
    living = [row for row in sampled if row.state not in {"Z", "X"}]
    seen = len(zombies) + sum(row.threads or 1 for row in living)
    if not seen:
        return None
    unreaped = grouped((row for row in zombies if row.ppid), "ppid")
    parent, dead = max(unreaped.items(), key=lambda one: len(one[1]), default=((0,), []))
    threaded = max(living, key=lambda row: row.threads or 1, default=None)
    threads = (threaded.threads or 1) if threaded is not None else 0
    if len(dead) >= ZOMBIES_PILE_UP and len(dead) >= threads:
        evidence = scene.evidence(dead, ProcessSample.ppid, "count")
        return Owner(named(scene, parent[0]), len(dead), seen, zombies=True, evidence=evidence)
    children = grouped((row for row in living if (row.ppid or 0) > 1), "ppid", "comm")
    (started_by, _), alike = max(children.items(), key=lambda one: len(one[1]), default=((0, ""), []))
    if len(alike) > threads:
        evidence = scene.evidence(alike, ProcessSample.ppid, "count")
        return Owner(named(scene, started_by), len(alike), seen, zombies=False, evidence=evidence)
    if threaded is None:
        return None
    evidence = scene.evidence([threaded], ProcessSample.threads, "last")
    return Owner(named(scene, threaded.pid or 0), threads, seen, zombies=False, evidence=evidence)


def _candidate(scene: Scene, use: TaskUse) -> Candidate:
    owner = use.owner if use.owner is not None and use.owner.is_most else None
    culprit = owner.entity if owner else use.place
    callers = tuple(process_entity(pid, rows[-1].comm) for (pid,), rows in grouped(use.failed, "pid").items())
    candidate = Candidate("task_limit", culprit, use.onset_ns, callers[:5] or ((culprit,) if owner else ()))
    candidate.check("forks are refused", use.refused > 0, 3.0, 0.5)
    candidate.check("again and again, or the limit will be met", use.refused >= AGAIN or not use.refused, 0.0, 2.0)
    if use.growth is not None and not use.refused:
        candidate.check("the limit will be met soon", True, 1.5, 0.0)
    candidate.check("it is known whose the tasks are", owner is not None, 1.0, 0.5)
    zombies = owner is not None and owner.zombies
    if not zombies:
        candidate.check("it is no storm of new processes (`fork_storm`)", not _is_storm(scene, use), 0.0, 6.0)
    if use.failed:
        candidate.step(
            f"{sum(row['count'] or 0 for row in use.failed)} times {callers[0].name} ({callers[0].id}) "
            + (f"and {len(callers) - 1} others " if len(callers) > 1 else "")
            + "could start no process or thread: EAGAIN",
            scene.evidence(use.failed, SyscallError.count, "sum"),
        )
    if use.refusals:
        candidate.step(
            f"{use.place.name} refused {sum(c.of('pids_limit_events') for c in use.refusals):.0f} forks at its limit",
            scene.evidence(samples_of(use.refusals), Cgroup.pids_limit_events, "increase"),
        )
    if use.used is not None and use.maximum is not None:
        candidate.step(f"it had up to {use.used} of the {use.maximum} tasks that it may have ({use.name})", *use.shown)
    if owner is not None:
        what = (
            f"is the parent of {owner.tasks} zombies, children that have ended and that it does not wait for"
            if zombies
            else f"has {owner.tasks} of them"
        )
        candidate.step(f"{culprit.name} ({culprit.id}) {what}; {owner.of_seen} tasks were seen", owner.evidence)
    return _concluded(candidate, use, zombies=zombies)


def _is_storm(scene: Scene, use: TaskUse) -> bool:
    """Whether one of those who are refused starts so many processes that any limit would be met."""
    pids = {row.pid for row in use.failed}
    for family in scene.once(families):
        if pids & {row.pid for row in family.rows}:
            seconds: list[Run] = runs(scene.per_second(family.rows, "forks"), lambda forks: forks >= STORM_PER_S)
            if seconds:
                return True
    return False


def _concluded(candidate: Candidate, use: TaskUse, *, zombies: bool) -> Candidate:
    culprit = candidate.culprit
    candidate.outlook = f"nothing more can be started within the limit ({use.name}), not even a shell to mend it"
    raised = {
        "pids.max": f"raise pids.max of {use.place.name}, to gain time",
        "RLIMIT_NPROC": "raise RLIMIT_NPROC of that user (ulimit -u, LimitNPROC= of systemd), to gain time",
    }.get(use.name, f"raise {use.name}, to gain time")
    if zombies:
        candidate.refuted_by = f"forks are refused as well after {culprit.name} has been ended, which ends its zombies"
        candidate.actions = (
            Proposal("restart", culprit, f"restart {culprit.name}; it must wait for its children (waitpid, SIGCHLD)"),
            Proposal("raise_limit", use.place, raised),
        )
        return candidate
    candidate.refuted_by = f"forks are refused as well with a larger limit ({use.name})"
    candidate.actions = (
        Proposal("raise_limit", use.place, raised),
        Proposal("look", culprit, f"see why {culprit.name} has so many tasks: ps -eLf"),
    )
    return candidate
