"""Which candidates are only what another one looks like from elsewhere.

A fault has effects, and an effect has the symptoms of a fault: who waits for a full disk holds the locks
that others wait for; a storm of page faults uses the CPUs that others want. Both are true, and only one
of them is the cause. Two faults that have nothing to do with each other stay apart.
"""

from __future__ import annotations

from collections.abc import Sequence

from kernelsight.diagnosis.candidate import Candidate
from kernelsight.diagnosis.model import Entity
from kernelsight.diagnosis.processes import ancestors, is_within, processes
from kernelsight.diagnosis.registry import traits
from kernelsight.diagnosis.window import NS_PER_S, Window
from kernelsight.events.scheduler import SchedProcess

LIVES_SHORTLY_S = 5
"""Seconds within which a process of a storm of forks has ended."""
LATER_NS = 2 * NS_PER_S
"""An effect may be seen a little before its cause: onsets are known to the second, and by different samples."""


def split(likely: Sequence[Candidate], window: Window) -> tuple[list[Candidate], list[tuple[Candidate, Candidate]]]:
    """Causes, and pairs of an effect and its cause.

    Args:
        likely: candidates that would be findings, the likeliest first.
        window: where they come from.
    """
    causes: list[Candidate] = []
    effects: list[tuple[Candidate, Candidate]] = []
    for place, one in enumerate(likely):
        cause = next(
            (
                other
                for at, other in enumerate(likely)
                if explains(other, one, window) and (at < place or not explains(one, other, window))
            ),
            None,
        )
        if cause is None:
            causes.append(one)
        else:
            effects.append((one, cause))
    return causes, effects


def explains(cause: Candidate, effect: Candidate, window: Window) -> bool:
    """Whether the symptoms of one are what the other would lead to.

    That two culprits are relatives is no reason: a program may start another one that does harm of its own.
    """
    is_same = cause is effect or (cause.fault, cause.culprit) == (effect.fault, effect.culprit)
    of_cause, of_effect = traits(cause.fault), traits(effect.fault)
    stands_still = of_cause.stands_still and cause.culprit == effect.culprit
    is_later = cause.onset_ns > effect.onset_ns + LATER_NS and not stands_still
    if is_same or is_later or of_effect.uses_up or of_effect.is_limit or of_effect.stands_still:
        return False
    held_back = of_cause.is_limit and of_effect.shows_when_held_back
    if stands_still or (held_back and belongs(effect.culprit, cause.culprit, window)):
        return True
    if cause.culprit.kind == effect.culprit.kind and _does_it_too(cause, effect, window):
        return _is_same_suffering(cause, effect)
    if of_effect.wants_cpu and not (of_cause.spends_cpu or of_cause.wants_cpu):
        return False  # who waits for something else takes no CPU from anybody
    if effect.is_idle and of_cause.wants_cpu:
        return False  # who sleeps is not kept from it by those who take the CPUs
    return any(
        same_program(victim, effect.culprit, window) or belongs(victim, effect.culprit, window)
        or belongs(effect.culprit, victim, window)
        for victim in cause.victims
    )  # fmt: skip


def is_again(one: Candidate, other: Candidate, window: Window) -> bool:
    """Whether a candidate says again what the other says: of what no program does twice, of one program."""
    if one.fault != other.fault:
        return False
    if one.culprit == other.culprit or traits(one.fault).uses_up:
        return one.culprit == other.culprit
    if traits(one.fault).by_families:
        return kin(one.culprit, other.culprit, window)
    return any(
        same_program(a, b, window) or belongs(a, b, window)
        for a, b in ((one.culprit, other.culprit), (other.culprit, one.culprit))
    )


def _does_it_too(cause: Candidate, effect: Candidate, window: Window) -> bool:
    """Whether the culprit of one takes part in what the other does: the same program, or a child of a storm."""
    if same_program(cause.culprit, effect.culprit, window):
        return True
    if not traits(cause.fault).starts_others or not _descends(effect.culprit, cause.culprit, window):
        return False
    rows = [row for row in window.rows(SchedProcess) if str(row.pid) == effect.culprit.id]
    seconds = {window.second(row) for row in rows}
    return len(seconds) <= LIVES_SHORTLY_S or any(row.forks for row in rows)


def _is_same_suffering(cause: Candidate, effect: Candidate) -> bool:
    """Of two faults by one culprit: whether they are one, seen twice."""
    of_cause, of_effect = traits(cause.fault), traits(effect.fault)
    if of_cause.only_holds_up and of_effect.starts_others:
        return False
    if of_effect.starts_others and of_cause.by_children:
        return cause.culprit == effect.culprit
    if of_effect.wants_cpu:
        return of_cause.spends_cpu
    return not of_cause.wants_cpu and bool(set(cause.victims) & set(effect.victims))


def kin(one: Entity, other: Entity, window: Window) -> bool:
    """Whether two entities are the same, of one program, parent and child, or a group and its member."""
    if same_program(one, other, window) or belongs(one, other, window) or belongs(other, one, window):
        return True
    return _descends(one, other, window) or _descends(other, one, window)


def belongs(process: Entity, group: Entity, window: Window) -> bool:
    """Whether a process is a member of a control group, or of one below it."""
    if (process.kind, group.kind) != ("process", "cgroup"):
        return False
    known = window.once(processes).get(_pid(process))
    return known is not None and is_within(known.group, group.id)


def same_program(one: Entity, other: Entity, window: Window) -> bool:
    """Whether two entities are the same, or two processes of one program."""
    return one == other or (one.kind == other.kind == "process" and _siblings(one, other, window))


def _siblings(one: Entity, other: Entity, window: Window) -> bool:
    """Whether two processes are of one program; two that an interpreter runs only share its name."""
    known = window.once(processes)
    parents = {known[pid].parent for pid in (_pid(one), _pid(other)) if pid in known} - {None}
    return one.name == other.name and len(parents) < 2


def _descends(child: Entity, parent: Entity, window: Window) -> bool:
    if not child.kind == parent.kind == "process":
        return False
    return any(str(one.pid) == parent.id for one in ancestors(window, _pid(child)))


def _pid(process: Entity) -> int:
    return int(process.id) if process.id.isdecimal() else 0
