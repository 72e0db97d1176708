"""Processes that give their CPU away again and again instead of sleeping until they can go on."""

from __future__ import annotations

from collections.abc import Iterable

from kernelsight.diagnosis.duration import LASTS
from kernelsight.diagnosis.faults.context_switch_storm import CONTEXT_SWITCH_STORM
from kernelsight.diagnosis.mechanism import Mechanism, Prior
from kernelsight.diagnosis.switching import COSTLY, FEW, NO_LOCK, Switching, explain, gives_away, switching
from kernelsight.diagnosis.window import Window


def measure(window: Window) -> Iterable[Switching]:
    """The stretches in which those who switch most do so by giving their CPU away."""
    return (found for found in window.once(switching) if gives_away(found))


MECHANISM = Mechanism[Switching](
    fault=CONTEXT_SWITCH_STORM,
    summary="Processes call sched_yield(2) in a loop until something has happened, and switch each time.",
    measure=measure,
    prior=Prior(
        3.0,
        because="judged: only who gives its CPU away in half of its switches is a suspect, and no program does so that "
        "has anything else to do",
    ),
    checks=(COSTLY, LASTS, FEW, NO_LOCK),
    explain=explain,
)
