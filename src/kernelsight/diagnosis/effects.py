"""Which candidates are only what another one looks like from elsewhere.

A fault has effects, and an effect has the symptoms of a fault: who waits for a full disk holds the locks
that others wait for; a storm of page faults uses the CPUs that others want. Both are true, and only one
of them is the cause. Two faults that have nothing to do with each other stay apart.
"""

from __future__ import annotations

from collections.abc import Sequence

from kernelsight.diagnosis.candidate import Candidate
from kernelsight.diagnosis.model import Entity, Fault
from kernelsight.diagnosis.processes import ancestors, is_within, processes
from kernelsight.diagnosis.scene import NS_PER_S, Scene

USES_UP: frozenset[Fault] = frozenset({
    "memory_leak", "disk_full", "inode_exhaustion", "fd_leak", "connection_leak", "port_exhaustion",
    "kernel_limit", "task_limit", "dentry_or_slab_growth",
})  # fmt: skip
"""What a program does by what it keeps: nobody makes it do so by being slow or in its way."""
ON_ITS_OWN: frozenset[Fault] = USES_UP | {"cpu_throttling"}
"""What is no effect of anything. A quota is a limit that somebody set: it is hit by use, and never by waiting."""
WANTS_CPU: frozenset[Fault] = frozenset({"cpu_saturation", "runqueue_contention"})
"""CPU time is what every program needs: what it needs it for says more."""
SPENDS_CPU: frozenset[Fault] = frozenset({
    "page_fault_storm", "context_switch_storm", "fork_storm", "lock_contention", "softirq_load", "memory_pressure",
    "disk_saturation",
})  # fmt: skip
"""Mechanisms that use CPU time as they work."""
HELD_BACK: frozenset[Fault] = frozenset({"lock_contention", "listen_overflow", "context_switch_storm"})
"""What the members of a group show that its quota holds back: who is stopped keeps its locks, and answers late."""
BY_FAMILIES: frozenset[Fault] = frozenset({"fork_storm", "context_switch_storm"})
"""What parents do together with their children: the children of a storm fork, and a pair that takes turns is one."""
LIVES_SHORTLY_S = 5
"""Seconds within which a process of a storm of forks has ended."""
BY_CHILDREN: frozenset[Fault] = frozenset({"disk_full", "inode_exhaustion"})
"""What a script does by the programs that it starts: that it starts so many is how, and not a second fault."""
LATER_NS = 2 * NS_PER_S
"""An effect may be seen a little before its cause: onsets are known to the second, and by different samples."""


def split(likely: Sequence[Candidate], scene: Scene) -> tuple[list[Candidate], list[tuple[Candidate, Candidate]]]:
    """Causes, and pairs of an effect and its cause.

    Args:
        likely: candidates that would be findings, the likeliest first.
        scene: where they come from.
    """
    causes: list[Candidate] = []
    effects: list[tuple[Candidate, Candidate]] = []
    for place, one in enumerate(likely):
        cause = next(
            (
                other
                for at, other in enumerate(likely)
                if explains(other, one, scene) and (at < place or not explains(one, other, scene))
            ),
            None,
        )
        if cause is None:
            causes.append(one)
        else:
            effects.append((one, cause))
    return causes, effects


def explains(cause: Candidate, effect: Candidate, scene: Scene) -> bool:
    """Whether the symptoms of one are what the other would lead to.

    That two culprits are relatives is no reason: a program may start another one that does harm of its own.
    """
    if cause is effect or (cause.fault, cause.culprit) == (effect.fault, effect.culprit):
        return False
    if effect.fault in ON_ITS_OWN or cause.onset_ns > effect.onset_ns + LATER_NS:
        return False
    if cause.fault == "cpu_throttling" and effect.fault in HELD_BACK and belongs(effect.culprit, cause.culprit, scene):
        return True
    if cause.culprit.kind == effect.culprit.kind and _does_it_too(cause, effect, scene):
        return _is_same_suffering(cause, effect)
    if effect.fault in WANTS_CPU and cause.fault not in SPENDS_CPU | WANTS_CPU:
        return False  # who waits for something else takes no CPU from anybody
    return any(
        same_program(victim, effect.culprit, scene) or belongs(victim, effect.culprit, scene)
        or belongs(effect.culprit, victim, scene)
        for victim in cause.victims
    )  # fmt: skip


def is_again(one: Candidate, other: Candidate, scene: Scene) -> bool:
    """Whether a candidate says again what the other says: of what no program does twice, of one program."""
    if one.fault != other.fault:
        return False
    if one.culprit == other.culprit or one.fault in USES_UP:
        return one.culprit == other.culprit
    if one.fault in BY_FAMILIES:
        return kin(one.culprit, other.culprit, scene)
    return any(
        same_program(a, b, scene) or belongs(a, b, scene)
        for a, b in ((one.culprit, other.culprit), (other.culprit, one.culprit))
    )


def _does_it_too(cause: Candidate, effect: Candidate, scene: Scene) -> bool:
    """Whether the culprit of one takes part in what the other does: the same program, or a child of a storm."""
    if same_program(cause.culprit, effect.culprit, scene):
        return True
    if cause.fault != "fork_storm" or not _descends(effect.culprit, cause.culprit, scene):
        return False
    rows = [row for row in scene.rows("sched_process") if str(row["pid"]) == effect.culprit.id]
    seconds = {scene.second(row) for row in rows}
    return len(seconds) <= LIVES_SHORTLY_S or any(row["forks"] for row in rows)


def _is_same_suffering(cause: Candidate, effect: Candidate) -> bool:
    """Of two faults by one culprit: whether they are one, seen twice."""
    if (cause.fault, effect.fault) == ("lock_contention", "fork_storm"):
        return False  # a lock holds up those who want it, and makes nobody start others
    if effect.fault == "fork_storm" and cause.fault in BY_CHILDREN:
        return cause.culprit == effect.culprit
    if effect.fault in WANTS_CPU:
        return cause.fault in SPENDS_CPU
    return cause.fault not in WANTS_CPU and bool(set(cause.victims) & set(effect.victims))


def kin(one: Entity, other: Entity, scene: Scene) -> bool:
    """Whether two entities are the same, of one program, parent and child, or a group and its member."""
    if same_program(one, other, scene) or belongs(one, other, scene) or belongs(other, one, scene):
        return True
    return _descends(one, other, scene) or _descends(other, one, scene)


def belongs(process: Entity, group: Entity, scene: Scene) -> bool:
    """Whether a process is a member of a control group, or of one below it."""
    if (process.kind, group.kind) != ("process", "cgroup"):
        return False
    known = scene.once(processes).get(_pid(process))
    return known is not None and is_within(known.group, group.id)


def same_program(one: Entity, other: Entity, scene: Scene) -> bool:
    """Whether two entities are the same, or two processes of one program."""
    return one == other or (one.kind == other.kind == "process" and _siblings(one, other, scene))


def _siblings(one: Entity, other: Entity, scene: Scene) -> bool:
    """Whether two processes are of one program; two that an interpreter runs only share its name."""
    known = scene.once(processes)
    parents = {known[pid].parent for pid in (_pid(one), _pid(other)) if pid in known} - {None}
    return one.name == other.name and len(parents) < 2


def _descends(child: Entity, parent: Entity, scene: Scene) -> bool:
    if not child.kind == parent.kind == "process":
        return False
    return any(str(one.pid) == parent.id for one in ancestors(scene, _pid(child)))


def _pid(process: Entity) -> int:
    return int(process.id) if process.id.isdecimal() else 0
