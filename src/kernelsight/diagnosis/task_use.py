"""Limits on the number of tasks: how much of one is used, what it refuses, and whose the tasks are."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass

from kernelsight.diagnosis.exhaustible import TASKS
from kernelsight.diagnosis.identity import process_entity
from kernelsight.diagnosis.kernel_log import messages as messages_of
from kernelsight.diagnosis.kernel_log import said
from kernelsight.diagnosis.limit_use import MET_SHARE, LimitUse, uid_of, use_of
from kernelsight.diagnosis.mechanism import Check, Explanation, claim, path
from kernelsight.diagnosis.model import Entity, Evidence, Proposal, Step
from kernelsight.diagnosis.processes import Process, is_within, named, processes
from kernelsight.diagnosis.remedies import DOUBLE_SYSCTL, MACHINE, RAISE_RESOURCE_LIMIT, RAISE_TASK_LIMIT, SET_SYSCTL
from kernelsight.diagnosis.threshold import Threshold
from kernelsight.diagnosis.trend import Trend, trend
from kernelsight.diagnosis.window import CounterDelta, Window, grouped_by, samples_of
from kernelsight.events.cgroup import Cgroup
from kernelsight.events.kernel_message import KernelMessage
from kernelsight.events.process import Process as ProcessSample
from kernelsight.events.syscalls import SyscallError
from kernelsight.linux.syscalls import FORKS
from kernelsight.signals.rules.cgroup import TASKS_USED_PERCENT

LEAST_GROWTH = Threshold(20, "tasks", because="judged: fewer come and go with the work")
NEARLY_FULL_SHARE = Threshold(
    TASKS_USED_PERCENT / 100,
    "share of the limit",
    because="judged: servers grow as they start, and stop well below a limit that somebody chose for them. As the "
    "signal `cgroup_pids_near_limit`",
)
ZOMBIES_PILE_UP = Threshold(
    10, "ended children of one parent", because="judged: more than a busy parent is ever behind with waiting for them"
)
AGAIN = Threshold(3, "failed forks", because="judged: a program that only tries out its limit is refused once or twice")
MOST_SHARE = Threshold(
    0.5, "share of the tasks that are seen", because="judged: from so many on, their owner is who fills the limit"
)
MOST_ENDED_SHARE = Threshold(
    MOST_SHARE / 2,
    "share of the tasks that are seen",
    because="judged: an ended child does nothing, and so has a sample a minute; others have one a second",
)
_OF_THE_MACHINE = ("kernel.threads-max", "kernel.pid_max")
_MOST_VICTIMS = 5


@dataclass(frozen=True, slots=True)
class Owner:
    """Who has most of the tasks that a limit counts, as far as samples show them."""

    entity: Entity
    tasks: int
    of_seen: int
    """Tasks that are seen at all; quiet processes have a sample a minute."""
    have_ended: bool
    """Its tasks are children that have ended, and that it does not wait for."""
    evidence: Evidence | None

    @property
    def is_most(self) -> bool:
        """Whether it has most of what is seen."""
        return self.tasks >= (MOST_ENDED_SHARE if self.have_ended else MOST_SHARE) * self.of_seen


@dataclass(frozen=True, slots=True)
class TaskUse:
    """One limit of tasks within the window: its use, what it refused, and who has most of the tasks."""

    name: str
    """Of the limit, as people know it."""
    place: Entity
    """Where it is set: the control group, or the limit itself."""
    used: int | None
    maximum: int | None
    refusals: Sequence[CounterDelta[Cgroup]]
    """What the group's counter of refused forks did, from the first refusal on."""
    failed: Sequence[SyscallError]
    """Forks that failed with EAGAIN."""
    growth: Trend | None
    """Towards the limit, if it will be met soon."""
    shown: tuple[Evidence | None, ...]
    owner: Owner | None
    messages: Sequence[KernelMessage] = ()
    """What the kernel said of its first refusal in the group."""
    is_storm: bool = False
    """Whether one of the programs that are refused starts so many processes that any limit would be met."""

    @property
    def culprit(self) -> Entity:
        """Who has most of the tasks, or else the limit: what to act on."""
        return self.owner.entity if self.owner else self.place

    @property
    def counted(self) -> float:
        """Forks that the group counted as refused."""
        return sum(delta.of(Cgroup.pids_limit_events) for delta in self.refusals)

    @property
    def failed_count(self) -> int:
        """Forks that were seen to fail."""
        return sum(row.count or 0 for row in self.failed)

    @property
    def refused(self) -> float:
        """Forks that were refused."""
        said = sum(row.count or 0 for row in self.messages)
        return max(self.counted, float(self.failed_count), float(said))

    @property
    def onset_ns(self) -> int:
        """When the first fork was refused, or the growth began."""
        first = [self.refusals[0].after.timestamp] if self.refusals else []
        first += [row.timestamp for row in self.failed[:1]]
        first += [row.timestamp for row in self.messages[:1]]
        if not first and self.growth is not None:
            first = [self.growth.onset_ns]
        return min(first)

    @property
    def callers(self) -> tuple[Entity, ...]:
        """Whose forks failed."""
        return tuple(
            process_entity(pid, rows[-1].comm) for pid, rows in grouped_by(self.failed, lambda row: row.pid).items()
        )

    @property
    def victims(self) -> tuple[Entity, ...]:
        """Who suffers: those whose forks fail, else who has most of the tasks."""
        return self.callers[:_MOST_VICTIMS] or ((self.owner.entity,) if self.owner else ())


def task_uses(window: Window) -> Sequence[TaskUse]:
    """The limits of tasks that refuse forks, or will soon. Use with :meth:`Window.once`."""
    groups = [use for rows in window.series(Cgroup).values() if (use := _of_group(window, rows)) is not None]
    explained = {row.pid for use in groups for row in use.failed}
    failed = [row for row in window.once(_failed_forks) if row.pid not in explained]
    return groups + [
        _of_user(window, rows, uid)
        for uid, rows in grouped_by(failed, lambda row: uid_of(window, row.pid or 0)).items()
    ]


def _failed_forks(window: Window) -> list[SyscallError]:
    return [row for row in window.rows(SyscallError) if row.error == "EAGAIN" and row.syscall_name in FORKS]


def _of_group(window: Window, rows: Sequence[Cgroup]) -> TaskUse | None:
    """The use of a control group's limit; None where it refuses nothing, is not met and will not be soon."""
    path, maximum = str(rows[-1].cgroup), rows[-1].pids_limit
    deltas = window.deltas(Cgroup).get((path,), ())
    first = next((at for at, delta in enumerate(deltas) if delta.of(Cgroup.pids_limit_events) > 0), None)
    refusals = deltas[first:] if first is not None else ()
    used = max((row.pids_current for row in rows if row.pids_current is not None), default=None)
    full = bool(maximum and used is not None and used >= MET_SHARE * maximum)
    growth = _growth(rows, maximum)
    messages = window.once(_said).get(path, ())
    if not refusals and not full and growth is None and not messages:
        return None
    if not full and any(other != path and is_within(other, path) for other in window.once(_refusing)):
        return None  # a group below is full, and its refusals count for all above it
    refuses = bool(refusals or messages)
    members = _members(window, path, refuses=refuses)
    failed = _failed_in(window, rows[-1], members, refuses=refuses) if refuses or full else []
    owner = _owner(window, members)
    if not refuses and not failed and not _fills_it(growth, owner, maximum):
        return None
    return TaskUse(
        name="pids.max",
        place=Entity("cgroup", path, path),
        used=used,
        maximum=maximum,
        refusals=refusals,
        failed=failed,
        growth=growth,
        shown=(window.evidence(rows, Cgroup.pids_current, "max"), window.evidence(rows, Cgroup.pids_limit, "last")),
        owner=_if_most(owner),
        messages=messages,
    )


def _said(window: Window) -> Mapping[str, Sequence[KernelMessage]]:
    """What the kernel said of groups that refused a fork, by their paths. Use with :meth:`Window.once`.

    It says so the first time in the life of a group (pids_event in kernel/cgroup/pids.c).
    """
    said = [row for row in messages_of(window, "table_full") if row.subject == "pids" and row.cgroup]
    return grouped_by(said, lambda row: row.cgroup or "")


def _growth(rows: Sequence[Cgroup], maximum: int | None) -> Trend | None:
    """The growth of a group's tasks towards its limit; None where it is small, or does not meet it soon."""
    growth = trend(rows, TASKS.level, up=True) if maximum else None
    if growth is None or growth.last - growth.first < LEAST_GROWTH:
        return None
    return growth if TASKS.ends_soon(growth, maximum) else None


def _fills_it(growth: Trend | None, owner: Owner | None, maximum: int | None) -> bool:
    """Whether growth is more than a server that starts: of ended children, or near the limit."""
    if growth is None:
        return False
    return (owner is not None and owner.have_ended) or growth.last >= NEARLY_FULL_SHARE * float(maximum or 0)


def _failed_in(window: Window, group: Cgroup, members: Sequence[Process], *, refuses: bool) -> Sequence[SyscallError]:
    """The forks that failed in a group: of its members, or else all, where it alone refuses forks."""
    failed, pids = window.once(_failed_forks), {process.pid for process in members}
    if not members and refuses and window.once(_refusing) == [group.cgroup]:
        return failed
    of_group = group.cgroup_id
    return [row for row in failed if row.pid in pids or (of_group is not None and row.cgroup_id == of_group)]


def _members(window: Window, path: str, *, refuses: bool) -> list[Process]:
    """The processes of a group, and their children that have ended.

    Of version 1 a process is in a group of each controller, and its samples name that of another one: then those
    belong to the only group that refuses forks whose forks fail. What has ended belongs to no group any more.
    """
    known = window.once(processes)
    inside = {process.pid for process in known.values() if is_within(process.group, path)}
    if not inside and refuses and window.once(_refusing) == [path]:
        inside = {row.pid for row in window.once(_failed_forks) if row.pid is not None}
    ended = {
        process.pid
        for process in known.values()
        if process.samples and process.samples[-1].state == "Z" and process.parent in inside
    }
    return [known[pid] for pid in sorted(inside | ended) if pid in known]


def _refusing(window: Window) -> list[str]:
    """The groups that refuse forks, at a limit of their own or of a group below. Use with :meth:`Window.once`."""
    counted = [
        str(path)
        for (path,), deltas in window.deltas(Cgroup).items()
        if any(delta.of(Cgroup.pids_limit_events) > 0 for delta in deltas)
    ]
    return list(dict.fromkeys((*counted, *window.once(_said))))


def _of_user(window: Window, failed: Sequence[SyscallError], uid: int | None) -> TaskUse:
    """The limit that forks met outside of any group that is full: the machine's, or else the user's."""
    everybody = [*window.once(processes).values()]
    for name in _OF_THE_MACHINE:
        use = use_of(window, name)
        if use.is_met:
            return _of_limit(window, name, use, failed, _owner(window, everybody))
    owner = _owner(window, [process for process in everybody if uid is None or _uid(process) == uid])
    if uid is None and owner is not None and not owner.have_ended:
        owner = None  # whose tasks count is not known; children that nobody waits for are a fault anyway
    return _of_limit(window, "RLIMIT_NPROC", LimitUse(()), failed, owner)


def _of_limit(window: Window, name: str, use: LimitUse, failed: Sequence[SyscallError], owner: Owner | None) -> TaskUse:
    known = use.is_met is not None
    return TaskUse(
        name=name,
        place=Entity("limit", name, name),
        used=use.fullest.used if known else None,
        maximum=use.fullest.maximum if known else None,
        refusals=(),
        failed=failed,
        growth=None,
        shown=use.shown(window) if known else (),
        owner=_if_most(owner),
    )


def _if_most(owner: Owner | None) -> Owner | None:
    return owner if owner is not None and owner.is_most else None


def _uid(process: Process) -> int | None:
    return process.samples[-1].uid if process.samples else None


def _owner(window: Window, members: Sequence[Process]) -> Owner | None:
    """Who has most of the tasks of some processes.

    It is the parent of most ended children, a process by its threads, or the parent of most processes of one program.
    """
    sampled = [process.samples[-1] for process in members if process.samples]
    ended = [row for row in sampled if row.state == "Z"]
    living = [row for row in sampled if row.state not in {"Z", "X"}]
    seen = len(ended) + sum(row.threads or 1 for row in living)
    if not seen:
        return None
    unreaped = grouped_by((row for row in ended if row.ppid), lambda row: row.ppid or 0)
    parent, dead = max(unreaped.items(), key=lambda family: len(family[1]), default=(0, []))
    threaded = max(living, key=lambda row: row.threads or 1, default=None)
    threads = (threaded.threads or 1) if threaded is not None else 0
    if len(dead) >= ZOMBIES_PILE_UP and len(dead) >= threads:
        evidence = window.evidence(dead, ProcessSample.ppid, "count")
        return Owner(named(window, parent), len(dead), seen, have_ended=True, evidence=evidence)
    children = grouped_by((row for row in living if (row.ppid or 0) > 1), lambda row: (row.ppid or 0, row.comm))
    (started_by, _), alike = max(children.items(), key=lambda family: len(family[1]), default=((0, ""), []))
    if len(alike) > threads:
        evidence = window.evidence(alike, ProcessSample.ppid, "count")
        return Owner(named(window, started_by), len(alike), seen, have_ended=False, evidence=evidence)
    if threaded is None:
        return None
    evidence = window.evidence([threaded], ProcessSample.threads, "last")
    return Owner(named(window, threaded.pid or 0), threads, seen, have_ended=False, evidence=evidence)


def _steps(window: Window, use: TaskUse) -> Iterator[Step | None]:
    """What shows that a limit of tasks refuses forks, or will."""
    callers = use.callers
    if callers:
        others = f" and {len(callers) - 1} others" if len(callers) > 1 else ""
        yield claim(
            f"{use.failed_count} forks of {callers[0].name} ({callers[0].id}){others} failed with EAGAIN",
            window.evidence(use.failed, SyscallError.count, "sum"),
        )
    yield claim(
        f"{use.place.name} refused {use.counted:.0f} forks at its limit",
        window.evidence(samples_of(use.refusals), Cgroup.pids_limit_events, "increase"),
    )
    yield from said(window, use.messages)
    if use.used is not None and use.maximum is not None:
        yield claim(f"up to {use.used} tasks existed of the {use.maximum} that {use.name} allows", *use.shown)


def explained(
    window: Window, use: TaskUse, *, owned: str, refuted_by: str, actions: tuple[Proposal, ...]
) -> Explanation:
    """What both mechanisms say of a limit.

    Args:
        window: where to look.
        use: what is used of the limit.
        owned: what its owner, where that is known, has: `has 12`.
        refuted_by: what would show that it is wrong.
        actions: what helps.
    """
    owner, culprit = use.owner, use.culprit
    does = owned or (f"has all the tasks that {use.name} allows" if culprit.kind == "cgroup" else "is reached")
    return Explanation(
        culprit=culprit,
        onset_ns=use.onset_ns,
        victims=use.victims,
        does=does,
        harm="can start no process or thread",
        suffering_s=0.0,
        path=path(
            *_steps(window, use),
            claim(f"{culprit.name} ({culprit.id}) {owned}", owner.evidence) if owner else None,
        ),
        refuted_by=refuted_by,
        outlook=_outlook(use),
        actions=actions,
    )


def _outlook(use: TaskUse) -> str:
    return f"no process and no thread can be started within the limit ({use.name}), not even a shell to mend it"


def raise_limit(use: TaskUse) -> Proposal:
    """What gains time."""
    if use.place.kind == "cgroup":
        return RAISE_TASK_LIMIT.on(use.place, f"raise pids.max of {use.place.name}, to gain time")
    if use.name == "RLIMIT_NPROC":
        text = "raise RLIMIT_NPROC (ulimit -u, LimitNPROC= of systemd), to gain time"
        return RAISE_RESOURCE_LIMIT.on(use.callers[0], text, resource=use.name)
    text = f"raise {use.name}, to gain time"
    if use.maximum is None:
        return DOUBLE_SYSCTL.on(MACHINE, text, name=use.name)
    return SET_SYSCTL.on(MACHINE, text, name=use.name, value=2 * use.maximum)


FORKS_REFUSED: Check[TaskUse] = Check(
    id="forks_refused",
    says="the kernel refuses forks (EAGAIN)",
    holds=lambda use: use.refused > 0,
    supports=2.0,
    refutes=0.0,
    because="EAGAIN of fork(2) and clone(2), and pids.events of a cgroup "
    "(Documentation/admin-guide/cgroup-v2.rst), mean a limit of tasks; a limit that will be met soon refuses none yet",
)
AGAIN_AND_AGAIN: Check[TaskUse] = Check(
    id="again_and_again",
    says="it refuses them again and again, or will",
    holds=lambda use: use.refused >= AGAIN or not use.refused,
    supports=0.0,
    refutes=2.0,
    because="judged: a program that only tries out its limit is refused once or twice",
)
