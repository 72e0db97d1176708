"""No memory left: the kernel kills somebody, which need not be who used it."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass

from kernelsight.diagnosis.candidate import Candidate
from kernelsight.diagnosis.hypothesis import hypothesis
from kernelsight.diagnosis.memory_use import (
    KIB,
    Domain,
    Holder,
    demand_kb,
    holders,
    limited_groups,
    machine,
)
from kernelsight.diagnosis.model import Entity, Evidence, Proposal
from kernelsight.diagnosis.processes import is_within
from kernelsight.diagnosis.scene import NS_PER_S, Change, Row, Scene, samples_of

RECENT_S = 3
"""How old a sample may be to tell what a process had when somebody was killed."""
LARGE_SHARE = 0.3
"""Of the limit, what a program holds that is said to have used it up."""
_MOST_KILLS = 20
"""Of very many kills, so many of the last are looked at: they are all alike."""


@dataclass(frozen=True, slots=True)
class Kills:
    """What was killed for want of the same memory."""

    where: Entity
    domain: Domain | None
    """None: nothing else is known of that group."""
    rows: Sequence[Row]
    """Of the kind `oom_kill`; none where nothing traces them."""
    counted: Sequence[Change]
    """Where nothing traces them: when the counter of kills grew."""

    @property
    def moments(self) -> list[int]:
        """When (ns since the epoch), the last ones."""
        rows = self.rows or [change.after for change in self.counted]
        return [int(row["timestamp"]) for row in rows][-_MOST_KILLS:]


@hypothesis("oom_kill")
def killed_for_want_of_memory(scene: Scene) -> Iterable[Candidate]:
    """The kernel killed a process because the memory of its control group, or of the machine, had run out."""
    for kills in _traced(scene) if scene.rows("oom_kill") else _counted(scene):
        yield _killing(scene, kills)


def _traced(scene: Scene) -> Iterator[Kills]:
    """The kills by the memory that had run out."""
    groups = sorted(scene.once(limited_groups), key=lambda one: -len(one.entity.id))
    whole = scene.once(machine)
    found: dict[Entity, tuple[Domain | None, list[Row]]] = {}
    for row in scene.rows("oom_kill"):
        where, domain = _where(scene, row, groups, whole)
        found.setdefault(where, (domain, []))[1].append(row)
    for where, (domain, rows) in found.items():
        yield Kills(where, domain, rows, ())


def _where(scene: Scene, row: Row, groups: Sequence[Domain], whole: Domain | None) -> tuple[Entity, Domain | None]:
    """The innermost group around the victim that was at its limit then; else the machine."""
    second, path = scene.second(row), row["cgroup"]
    for group in groups:
        near = [one for one in group.changes if -1 <= scene.second(one.after) - second <= 2]
        if is_within(path, group.entity.id) and any(
            one.of(name) for one in near for name in ("memory_max_events", "memory_oom_kills")
        ):
            return group.entity, group
    if path not in {None, "/"} and not (whole and whole.was_full):
        return Entity("cgroup", str(path), str(path)), None
    return Entity("machine", "memory", "memory"), whole


def _counted(scene: Scene) -> Iterator[Kills]:
    """The kills that only counters tell of: of the innermost groups, else of the machine."""
    groups = {one.entity.id: (one, _grew(one, "memory_oom_kills")) for one in scene.once(limited_groups)}
    hit = {path: pair for path, pair in groups.items() if pair[1]}
    for path, (domain, changes) in hit.items():
        if not any(other != path and is_within(other, path) for other in hit):
            yield Kills(domain.entity, domain, (), changes)
    whole = scene.once(machine)
    if whole and not hit and (changes := _grew(whole, "oom_kill")):
        yield Kills(whole.entity, whole, (), changes)


def _grew(domain: Domain, metric: str) -> list[Change]:
    return [change for change in domain.changes if change.of(metric)]


def _killing(scene: Scene, kills: Kills) -> Candidate:
    program = _who_used_it(scene, kills)
    culprit = program.entity if program else kills.where
    dead = {(int(row["pid"]), str(row["comm"] or "?")): Entity("process", str(row["pid"]), str(row["comm"] or "?"))
            for row in kills.rows if row["pid"] is not None}  # fmt: skip
    candidate = Candidate("oom_kill", culprit, kills.moments[0])
    others = [entity for (_, comm), entity in dead.items() if comm != culprit.name]
    candidate.victims = tuple(others[:5] or [*dead.values()][-1:])
    count = len(kills.rows) or len(kills.counted)
    candidate.check("the kernel killed somebody for want of memory", count > 0, 6.0, 6.0)
    share = program.held_kb / kills.domain.limit_kb if program and kills.domain and kills.domain.limit_kb else None
    candidate.check(f"{culprit.name} used most of it", share is None or share >= LARGE_SHARE, 1.0, 1.0)
    names = ", ".join(sorted({comm for _, comm in dead})) or "somebody"
    counter = "memory_oom_kills" if kills.where.kind == "cgroup" else "oom_kill"
    kind = "cgroup" if kills.where.kind == "cgroup" else "vmstat"
    candidate.step(
        f"the kernel killed {names}{f', {count} times,' if count > 1 else ''} for want of memory",
        scene.evidence("oom_kill", kills.rows, "pid", "count"),
        scene.evidence(kind, samples_of(kills.counted), counter, "increase"),
    )
    if kills.domain:
        used, how = kills.domain.used_metric, kills.domain.used_how
        claim = f"{kills.where.name} has {kills.domain.limit_kb / KIB:,.0f} MiB of it in all"
        candidate.step(claim, scene.evidence(kills.domain.kind, kills.domain.rows, used, how))
    if program:
        candidate.step(
            f"{culprit.name} ({culprit.id}) had {program.held_kb / KIB:,.0f} MiB"
            + (f", {100 * share:.0f} % of it" if share else ""),
            program.evidence,
        )
    candidate.refuted_by = f"somebody is killed as well where {culprit.name} does not run"
    candidate.outlook = "who is killed loses what it was doing; if it is started again, it happens again"
    candidate.actions = _actions(kills, culprit)
    return candidate


def _actions(kills: Kills, culprit: Entity) -> tuple[Proposal, ...]:
    look = Proposal("look", culprit, f"see what {culprit.name} needs so much memory for")
    if kills.where.kind == "cgroup":
        return look, Proposal("raise_limit", kills.where, f"raise the memory limit of {kills.where.name}")
    return look, Proposal("limit_memory", culprit, f"give {culprit.name} a control group with a limit of memory")


@dataclass(frozen=True, slots=True)
class Program:
    """Processes of one name, by the largest of them."""

    entity: Entity
    held_kb: float
    """Of all of them, when somebody was killed."""
    evidence: Evidence | None


def _who_used_it(scene: Scene, kills: Kills) -> Program | None:
    """The program that had most, on average over the kills: processes that take turns are not added up."""
    present = _members(scene, kills)
    total: dict[str, float] = {}
    largest: dict[str, tuple[float, int]] = {}
    for at in kills.moments:
        for (pid, comm), held in _had(kills, present, at).items():
            total[comm] = total.get(comm, 0.0) + held / len(kills.moments)
            largest[comm] = max(largest.get(comm, (0.0, 0)), (held, pid)) if comm in largest else (held, pid)
    if not total:
        return None
    comm = max(total, key=lambda one: total[one])
    _, pid = largest[comm]
    killed = [row for row in kills.rows if row["pid"] == pid and row["anon_rss_kb"] is not None]
    holder = next((one for one in present if one.pid == pid), None)
    evidence = (
        scene.evidence("oom_kill", killed, "anon_rss_kb", "max")
        if killed
        else scene.evidence("process", holder.samples, holder.metric, "max")
        if holder
        else None
    )
    return Program(Entity("process", str(pid), comm), total[comm], evidence)


def _members(scene: Scene, kills: Kills) -> Sequence[Holder]:
    if kills.domain:
        return kills.domain.holders
    return [one for one in scene.once(holders) if is_within(one.group, kills.where.id)]


def _had(kills: Kills, present: Sequence[Holder], at: int) -> Mapping[tuple[int, str], float]:
    """What each process had when somebody was killed: by the last sample before, and of the killed by the kernel."""
    gone = {row["pid"] for row in kills.rows if row["timestamp"] < at}
    had: dict[tuple[int, str], float] = {}
    for one in present:
        before = [row for row in one.samples if at - RECENT_S * NS_PER_S <= row["timestamp"] <= at]
        if before and one.pid not in gone:
            had[one.pid, one.comm] = max(map(demand_kb, before))  # who is dying has nothing any more
    for row in kills.rows:
        if row["timestamp"] == at and row["pid"] is not None:
            key = row["pid"], str(row["comm"] or "?")
            had[key] = max(had.get(key, 0.0), float((row["anon_rss_kb"] or 0) + (row["shmem_rss_kb"] or 0)))
    return had
