"""What is said of a limit of the kernel that is met: its use, what raises it, and who holds what it counts."""

from __future__ import annotations

from kernelsight.diagnosis.limit_use import LimitUse
from kernelsight.diagnosis.limits import SYSCTLS, TCP_MEMORY, KernelLimit
from kernelsight.diagnosis.mechanism import claim
from kernelsight.diagnosis.model import Entity, Proposal, Step
from kernelsight.diagnosis.remedies import DOUBLE_SYSCTL, LOOK, MACHINE, RAISE_RESOURCE_LIMIT, SET_SYSCTL
from kernelsight.diagnosis.window import Window


def limit_entity(limit: KernelLimit) -> Entity:
    """The limit itself, as a finding names it."""
    return Entity("limit", limit.name, limit.name)


def use_claim(window: Window, limit: KernelLimit, use: LimitUse) -> Step | None:
    """How many there were of what a limit counts; None where nobody recorded it."""
    if use.is_met is None:
        return None
    fullest = use.fullest
    whose = f" of user {fullest.uid}" if fullest.uid is not None else ""
    return claim(f"up to {fullest.used} {limit.noun}{whose} existed of {fullest.maximum}", *use.shown(window))


def raised(limit: KernelLimit) -> str:
    """What raises a limit."""
    return limit.remedy or limit.name


def remedies(
    limit: KernelLimit, use: LimitUse, culprit: Entity, *, caller: Entity | None = None
) -> tuple[Proposal, ...]:
    """What gains time, and what to look for; `caller`: whose calls are refused."""
    held_by = (
        f"see which {limit.noun} {culprit.name} holds" if culprit.kind == "process" else f"see who holds {limit.noun}"
    )
    look = LOOK.on(culprit, f"{held_by}: {limit.holders}")
    text = f"raise {raised(limit)}"
    if limit.name not in SYSCTLS:
        if caller is None:
            return (look,)
        return RAISE_RESOURCE_LIMIT.on(caller, f"{text}, to gain time", resource=limit.name), look
    if limit.remedy or limit.name == TCP_MEMORY or use.is_met is None:
        return DOUBLE_SYSCTL.on(MACHINE, f"{text}, to gain time", name=limit.name), look
    value = 2 * (use.fullest.maximum or 0)
    return SET_SYSCTL.on(MACHINE, f"{text} to {value}, to gain time", name=limit.name, value=value), look
