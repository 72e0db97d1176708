"""No memory left: the kernel kills a process, which need not be the one that used the memory."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from kernelsight.diagnosis.faults.oom_kill import OOM_KILL
from kernelsight.diagnosis.identity import process_entity
from kernelsight.diagnosis.mechanism import Check, Explanation, Mechanism, Prior, claim, path
from kernelsight.diagnosis.memory_use import (
    KIB,
    AnyDomain,
    Domain,
    Holder,
    demand_kb,
    holders,
    limited_groups,
    machine,
)
from kernelsight.diagnosis.model import Entity, Evidence, Proposal
from kernelsight.diagnosis.phrases import times
from kernelsight.diagnosis.processes import is_within
from kernelsight.diagnosis.remedies import LIMIT_MEMORY, LOOK, RAISE_MEMORY_LIMIT
from kernelsight.diagnosis.threshold import Threshold
from kernelsight.diagnosis.window import NS_PER_S, CounterDelta, Window, samples_of
from kernelsight.events.cgroup import Cgroup
from kernelsight.events.memory import OomKill
from kernelsight.quantities import quantity

RECENT_S = Threshold(
    3, "s", because="judged: samples are a second apart; an older one says little of what a process had at a kill"
)
LARGE_SHARE = Threshold(
    0.3,
    "share of the limit",
    because="judged: a program that holds less did not use the memory up by itself",
)
NEAR_S = Threshold(
    2, "s", because="judged: the counters of a group are read once a second, and a second late where memory is short"
)
_MOST_KILLS = 20
"""Of very many kills, so many of the last are looked at: they are all alike."""


@dataclass(frozen=True, slots=True)
class MemoryUser:
    """The program that had most memory when processes were killed, by its largest process."""

    entity: Entity
    held_kb: float
    """Of all its processes, on average over the kills."""
    evidence: Evidence | None


@dataclass(frozen=True, slots=True)
class Kills:
    """Processes that the kernel killed for want of the same memory."""

    where: Entity
    """The control group, or the machine, whose memory had run out."""
    domain: AnyDomain | None
    """None: nothing else is known of that group."""
    rows: Sequence[OomKill]
    """None where nothing traces them."""
    counted: Sequence[CounterDelta[Any]]
    """Where nothing traces them: when the counter of kills grew."""
    user: MemoryUser | None = None
    """None: no process is known that had any."""

    @property
    def moments(self) -> list[int]:
        """When (ns since the epoch), the last ones."""
        stamps = [row.timestamp for row in self.rows] or [delta.after.timestamp for delta in self.counted]
        return stamps[-_MOST_KILLS:]

    @property
    def count(self) -> int:
        """How many, or how many times the counter grew."""
        return len(self.rows) or len(self.counted)

    @property
    def culprit(self) -> Entity:
        """The process that had most; else the group, or the machine."""
        return self.user.entity if self.user else self.where

    @property
    def culprits_name(self) -> str:
        """Its name."""
        return self.culprit.name

    @property
    def user_share(self) -> float | None:
        """Of the memory that had run out, what that program had; None where it is not known."""
        if self.user is None or self.domain is None or not self.domain.limit_kb:
            return None
        return self.user.held_kb / self.domain.limit_kb


def measure(window: Window) -> Iterable[Kills]:
    """The kills by the memory that had run out, and the program that had most of it."""
    for kills in _traced(window) if window.rows(OomKill) else _counted(window):
        yield Kills(kills.where, kills.domain, kills.rows, kills.counted, _who_used_it(window, kills))


def _traced(window: Window) -> Iterator[Kills]:
    groups = sorted(window.once(limited_groups), key=lambda group: -len(group.entity.id))
    whole = window.once(machine)
    known: dict[Entity, tuple[AnyDomain | None, list[OomKill]]] = {}
    for row in window.rows(OomKill):
        where, domain = _where(window, row, groups, whole)
        known.setdefault(where, (domain, []))[1].append(row)
    for where, (domain, rows) in known.items():
        yield Kills(where, domain, rows, ())


def _where(
    window: Window, row: OomKill, groups: Sequence[Domain[Cgroup, Cgroup]], whole: AnyDomain | None
) -> tuple[Entity, AnyDomain | None]:
    """The innermost group around the victim that was at its limit then; else the machine."""
    second, group_path = window.second(row), row.cgroup
    for group in groups:
        near = [delta for delta in group.deltas if -1 <= window.second(delta.after) - second <= NEAR_S]
        if is_within(group_path, group.entity.id) and any(
            delta.of(metric) for delta in near for metric in (Cgroup.memory_max_events, Cgroup.memory_oom_kills)
        ):
            return group.entity, group
    if group_path not in {None, "/"} and not (whole and whole.was_full):
        return Entity("cgroup", str(group_path), str(group_path)), None
    return Entity("machine", "memory", "memory"), whole


def _counted(window: Window) -> Iterator[Kills]:
    """The kills that only counters tell of: of the innermost groups, else of the machine."""
    groups = {group.entity.id: (group, _grew(group)) for group in window.once(limited_groups)}
    hit = {group_path: pair for group_path, pair in groups.items() if pair[1]}
    for group_path, (domain, deltas) in hit.items():
        if not any(other != group_path and is_within(other, group_path) for other in hit):
            yield Kills(domain.entity, domain, (), deltas)
    whole = window.once(machine)
    if whole and not hit and (deltas_of_all := _grew(whole)):
        yield Kills(whole.entity, whole, (), deltas_of_all)


def _grew(domain: AnyDomain) -> list[CounterDelta[Any]]:
    return [delta for delta in domain.deltas if delta.of(domain.kills)]


def _who_used_it(window: Window, kills: Kills) -> MemoryUser | None:
    """The program that had most, on average over the kills: processes that take turns are not added up."""
    present = _members(window, kills)
    total: dict[str, float] = {}
    largest: dict[str, tuple[float, int]] = {}
    for at in kills.moments:
        for (pid, comm), held in _had(kills, present, at).items():
            total[comm] = total.get(comm, 0.0) + held / len(kills.moments)
            largest[comm] = max(largest.get(comm, (0.0, 0)), (held, pid)) if comm in largest else (held, pid)
    if not total:
        return None
    comm = max(total, key=lambda name: total[name])
    _, pid = largest[comm]
    killed = [row for row in kills.rows if row.pid == pid and row.anon_rss_kb is not None]
    holder = next((holder for holder in present if holder.pid == pid), None)
    evidence = (
        window.evidence(killed, OomKill.anon_rss_kb, "max")
        if killed
        else window.evidence(holder.samples, holder.metric, "max")
        if holder
        else None
    )
    return MemoryUser(process_entity(pid, comm), total[comm], evidence)


def _members(window: Window, kills: Kills) -> Sequence[Holder]:
    if kills.domain:
        return kills.domain.holders
    return [holder for holder in window.once(holders) if is_within(holder.group, kills.where.id)]


def _had(kills: Kills, present: Sequence[Holder], at: int) -> Mapping[tuple[int, str], float]:
    """What each process had at a kill: by the last sample before, and of the killed one by the kernel."""
    gone = {row.pid for row in kills.rows if row.timestamp < at}
    had: dict[tuple[int, str], float] = {}
    for holder in present:
        before = [row for row in holder.samples if 0 <= at - row.timestamp <= RECENT_S * NS_PER_S]
        if before and holder.pid not in gone:
            had[holder.pid, holder.comm] = max(map(demand_kb, before))  # a process that dies has nothing any more
    for row in kills.rows:
        if row.timestamp == at and row.pid is not None:
            key = row.pid, str(row.comm or "?")
            had[key] = max(had.get(key, 0.0), float((row.anon_rss_kb or 0) + (row.shmem_rss_kb or 0)))
    return had


def explain(window: Window, kills: Kills) -> Explanation:
    """The kernel ends a process so that the others get on."""
    culprit, domain, user, share = kills.culprit, kills.domain, kills.user, kills.user_share
    dead = {(row.pid, row.comm or "?"): _killed(row) for row in kills.rows if row.pid is not None}
    others = [entity for entity in dead.values() if entity.name != culprit.name]
    names = ", ".join(sorted({entity.name for entity in dead.values()})) or "a process"
    often = f", {kills.count} times," if kills.count > 1 else ""
    return Explanation(
        culprit=culprit,
        onset_ns=kills.moments[0],
        victims=tuple(others[:5] or [*dead.values()][-1:]),
        does="uses up memory",
        detail=f"{quantity(user.held_kb, 'KiB')} of the {quantity(domain.limit_kb, 'KiB')} of {domain.owner}"
        if user and domain and user.held_kb <= domain.limit_kb
        else "",
        harm="was killed by the kernel for want of memory" + (f", {times(kills.count)}" if kills.count > 1 else ""),
        suffering_s=0.0,
        path=path(
            claim(
                f"the kernel killed {names}{often} for want of memory",
                window.evidence(kills.rows, OomKill.pid, "count"),
                window.evidence(samples_of(kills.counted), domain.kills, "increase") if domain else None,
            ),
            claim(
                f"{domain.owner} has {domain.limit_kb / KIB:,.0f} MiB in all",
                domain.shown_used(window, domain.rows),
            )
            if domain
            else None,
            claim(
                f"{culprit.name} ({culprit.id}) had {user.held_kb / KIB:,.0f} MiB"
                + (f", {100 * share:.0f} % of it" if share else ""),
                user.evidence,
            )
            if user
            else None,
        ),
        refuted_by=f"the kernel kills processes as well when {culprit.name} does not run",
        outlook="a killed process loses its work; when it is started again, it is killed again",
        actions=_actions(kills, culprit),
    )


def _killed(row: OomKill) -> Entity:
    return process_entity(row.pid, row.comm)


def _actions(kills: Kills, culprit: Entity) -> tuple[Proposal, ...]:
    look = LOOK.on(culprit, f"see what {culprit.name} needs so much memory for")
    if kills.where.kind == "cgroup":
        return look, RAISE_MEMORY_LIMIT.on(kills.where, f"raise the memory limit of {kills.where.name}")
    if culprit.kind == "process":
        return look, LIMIT_MEMORY.on(culprit, f"give {culprit.name} a control group with a limit of memory")
    return (look,)


MECHANISM = Mechanism[Kills](
    fault=OOM_KILL,
    summary="The memory of a control group or of the machine runs out, and the kernel kills a process of it.",
    measure=measure,
    prior=Prior(
        6.0,
        because="judged: the kernel itself tells of each kill and counts them; there is a suspect only where it killed",
    ),
    checks=(
        Check(
            id="used_much",
            says="{culprits_name} used much of the memory",
            holds=lambda kills: kills.user_share is None or kills.user_share >= LARGE_SHARE,
            supports=1.0,
            refutes=1.0,
            because="judged: whether there was a kill is known, so this only says how sure the culprit is; where no "
            "limit is known, the largest process is believed",
        ),
    ),
    explain=explain,
)
