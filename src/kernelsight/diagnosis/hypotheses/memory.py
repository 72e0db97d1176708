"""Too little memory: pages that are needed again are gone."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass

from kernelsight.diagnosis.candidate import Candidate
from kernelsight.diagnosis.hypothesis import hypothesis
from kernelsight.diagnosis.memory_use import (
    FULL_SHARE,
    KIB,
    PAGE_KB,
    STALLED_SHARE,
    Domain,
    Holder,
    killed_in,
    limited_groups,
    machine,
    short,
    stalled,
    stalled_shown,
    stalls,
)
from kernelsight.diagnosis.model import Entity, Evidence, Proposal
from kernelsight.diagnosis.scene import Run, Scene, samples_of

TURNED_OVER = 0.1
"""Of a domain, what is read again each second where it thrashes even if storage is too fast for long waits."""
WAITED_SHARE = 0.05
"""Of the time, what a process must spend waiting for pages to be said to suffer from it."""
GROWN_SHARE = 0.1
"""Of the limit, by how much a process must have grown to be the one that made it short."""
HELD_SHARE = 0.3
"""Of the limit, what a process must hold to be the one that leaves too little for the others."""
MOST = 0.5
REREAD_SHARE = 0.3
"""Of what is read from storage, what must have been in memory before: a large file read once has none of it."""


@hypothesis("memory_pressure")
def needed_pages_are_gone(scene: Scene) -> Iterable[Candidate]:
    """Pages that were in memory must be read or swapped in again, and somebody waits for them."""
    for domain in _domains(scene):
        for run in short(scene, domain)[-1:]:
            yield _pressure(scene, domain, run)


def _domains(scene: Scene) -> Iterator[Domain]:
    """The groups with a limit, and the machine where it reclaims by itself and not for a group."""
    yield from scene.once(limited_groups)
    whole = scene.once(machine)
    if whole and any(change.of(name) for change in whole.changes for name in ("pgscan_kswapd", "pgscan_direct")):
        yield whole


def _pressure(scene: Scene, domain: Domain, run: Run) -> Candidate:
    changes, stalling = scene.during(domain.changes, run), stalls(scene, domain, run)
    refaults = sum(domain.came_back(change) for change in changes)
    share = sum(change.of("some_total_us") for change in stalling) / 1e6 / run.seconds
    most = domain.most_used(run, scene)
    victims = _who_waits(scene, domain, run)
    waited = sum(one for one, _ in victims)
    blame = _who_leaves_no_room(scene, domain, run)
    culprit = blame.entity
    candidate = Candidate("memory_pressure", culprit, scene.at(run.first), _others(victims, culprit))
    candidate.suffering_s = max(waited, share * run.seconds)
    candidate.check(f"{domain.entity.name} is full", most >= FULL_SHARE, 1.5, 4.0)
    turned_over = refaults * PAGE_KB >= TURNED_OVER * domain.limit_kb * run.seconds
    suffers = bool(victims) or share >= STALLED_SHARE or turned_over
    candidate.check("somebody waits for pages, or all of them go and come back in seconds", suffers, 2.0, 2.5)
    again = refaults * PAGE_KB >= REREAD_SHARE * sum(_read_by(scene, one, run) for one in domain.holders)
    candidate.check("most of what is read was in memory before", again, 2.0, 3.0)
    candidate.check("nobody is killed for want of memory", not killed_in(scene, domain, run), 0.0, 5.0)
    for waited, one in victims[:2]:
        claim = f"{one.comm} ({one.pid}) waited {waited:.1f} s of {run.seconds} s for pages to be read"
        candidate.step(claim, stalled_shown(scene, one, run))
    if share >= STALLED_SHARE:
        evidence = scene.evidence("pressure", samples_of(stalling), "some_total_us", "increase")
        candidate.step(f"tasks stalled for want of memory in {100 * share:.0f} % of the time", evidence)
    for metric in domain.refault_metrics if refaults else ():
        pages = sum(change.of(metric) for change in changes)
        kind = "cgroup" if domain.is_group else "vmstat"
        claim = f"{pages:,.0f} pages of {domain.entity.name} that had been pushed out of memory were needed again"
        candidate.step(claim, scene.evidence(kind, samples_of(changes), metric, "increase") if pages else None)
    rows, how = scene.within(domain.rows, run), domain.used_how
    claim = f"it used up to {100 * most:.0f} % of the {domain.limit_kb / KIB:,.0f} MiB that there are"
    candidate.step(claim, scene.evidence(domain.kind, rows, domain.used_metric, how))
    candidate.step(blame.claim, blame.evidence)
    candidate.refuted_by = f"as many pages come back when {culprit.name} has less memory, or the limit is higher"
    candidate.outlook = "the same pages are read again and again; if it gets tighter, the kernel kills somebody"
    candidate.actions = _actions(domain, culprit)
    return candidate


def _who_waits(scene: Scene, domain: Domain, run: Run) -> list[tuple[float, Holder]]:
    """Seconds of waiting for pages, and who waited, longest first."""
    waits = sorted(((stalled(scene, one, run), one) for one in domain.holders), key=lambda pair: -pair[0])
    return [(waited, one) for waited, one in waits if waited >= WAITED_SHARE * run.seconds]


@dataclass(frozen=True, slots=True)
class Blame:
    """Who uses the memory of a domain up, and what shows it."""

    entity: Entity
    claim: str = ""
    evidence: Evidence | None = None


def _who_leaves_no_room(scene: Scene, domain: Domain, run: Run) -> Blame:
    """Who grew most, else who holds most; else who reads more files than there is room for, or the group itself."""
    limit = domain.limit_kb
    present = [one for one in domain.holders if scene.within(one.samples, run)]
    grower = max(present, key=lambda one: one.grown_kb, default=None)
    if grower and grower.grown_kb >= GROWN_SHARE * limit:
        return _blamed(scene, grower, f"took {grower.grown_kb / KIB:,.0f} MiB more, to {grower.held_kb / KIB:,.0f} MiB")
    largest = max(present, key=lambda one: one.held_kb, default=None)
    shared = domain.shared_kb(run, scene)
    if shared >= HELD_SHARE * limit and (largest is None or shared > largest.held_kb):
        return _who_shares(scene, domain, present, run, shared)
    if largest and largest.held_kb >= HELD_SHARE * limit:
        return _blamed(scene, largest, f"holds {largest.held_kb / KIB:,.0f} MiB of it")
    read = {one.pid: _read_by(scene, one, run) for one in present}
    reader = max(present, key=lambda one: read[one.pid], default=None)
    if reader and read[reader.pid] > MOST * sum(read.values()):
        claim = f"{reader.comm} ({reader.pid}) read {read[reader.pid] / KIB:,.0f} MiB from storage"
        rows = scene.within(reader.samples, run)
        return Blame(reader.entity, claim, scene.evidence("process", rows, "read_bytes", "increase"))
    return Blame(domain.entity)


def _who_shares(scene: Scene, domain: Domain, present: Sequence[Holder], run: Run, shared_kb: float) -> Blame:
    """Who has most of the shared memory mapped; where nobody has, it is in files of tmpfs, and nobody's."""
    rows = scene.within(domain.rows, run)
    shown = scene.evidence(domain.kind, rows, domain.shared_metric, "max")
    holder = max(present, key=lambda one: one.mapped_kb, default=None)
    entity = holder.entity if holder and holder.mapped_kb >= MOST * shared_kb else domain.entity
    return Blame(entity, f"tmpfs and shared memory hold {shared_kb / KIB:,.0f} MiB of it", shown)


def _blamed(scene: Scene, holder: Holder, what: str) -> Blame:
    evidence = scene.evidence("process", holder.samples, holder.metric, "max")
    return Blame(holder.entity, f"{holder.comm} ({holder.pid}) {what}", evidence)


def _read_by(scene: Scene, holder: Holder, run: Run) -> float:
    changes = scene.during(holder.changes(scene), run)
    return sum(change.of("read_bytes") for change in changes) / KIB


def _others(victims: Sequence[tuple[float, Holder]], culprit: Entity) -> tuple[Entity, ...]:
    """Who suffers from somebody else; where there is nobody, who suffers from itself."""
    named = [one.entity for _, one in victims]
    return tuple([one for one in named if one != culprit][:5] or named[:1])


def _actions(domain: Domain, culprit: Entity) -> tuple[Proposal, ...]:
    limit = Proposal("limit_memory", culprit, f"give {culprit.name} less memory, or a group of its own")
    if domain.is_group:
        return Proposal("raise_limit", domain.entity, f"raise the memory limit of {domain.entity.name}"), limit
    return (limit,)
