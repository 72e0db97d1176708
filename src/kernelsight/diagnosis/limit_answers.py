"""What is said of a limit of the kernel that is met: its use, what raises it, and who holds what it counts."""

from __future__ import annotations

from kernelsight.diagnosis.limit_use import LimitUse
from kernelsight.diagnosis.limits import SYSCTLS, TCP_MEMORY, KernelLimit
from kernelsight.diagnosis.mechanism import claim
from kernelsight.diagnosis.model import Entity, Proposal, Step
from kernelsight.diagnosis.scene import Scene


def limit_entity(limit: KernelLimit) -> Entity:
    """The limit itself, as a finding names it."""
    return Entity("limit", limit.name, limit.name)


def use_claim(scene: Scene, limit: KernelLimit, use: LimitUse) -> Step | None:
    """How many there were of what a limit counts; None where nobody recorded it."""
    if use.is_met is None:
        return None
    fullest = use.fullest
    whose = f" of user {fullest.uid}" if fullest.uid is not None else ""
    return claim(f"up to {fullest.used} {limit.noun}{whose} existed of {fullest.maximum}", *use.shown(scene))


def raised(limit: KernelLimit) -> str:
    """What raises a limit."""
    return limit.remedy or limit.name


def remedies(limit: KernelLimit, use: LimitUse, culprit: Entity) -> tuple[Proposal, ...]:
    """What gains time, and what to look for."""
    is_number = not limit.remedy and limit.name != TCP_MEMORY and use.is_met is not None
    enough = f" to {2 * (use.fullest.maximum or 0)}" if is_number else ""
    held_by = (
        f"see which {limit.noun} {culprit.name} holds" if culprit.kind == "process" else f"see who holds {limit.noun}"
    )
    return (
        Proposal(
            "sysctl" if limit.name in SYSCTLS else "raise_limit",
            limit_entity(limit),
            f"raise {raised(limit)}{enough}, to gain time",
        ),
        Proposal("look", culprit, f"{held_by}: {limit.holders}"),
    )
