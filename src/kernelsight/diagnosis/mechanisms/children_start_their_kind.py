"""Processes that start more of their kind, as a fork bomb does."""

from __future__ import annotations

from collections.abc import Iterable

from kernelsight.diagnosis.duration import LASTS
from kernelsight.diagnosis.faults.fork_storm import FORK_STORM
from kernelsight.diagnosis.forking import (
    COSTLY,
    NO_OTHER_PROGRAMS,
    OFTEN,
    REFUSED,
    Forking,
    explain,
    forking,
)
from kernelsight.diagnosis.mechanism import Mechanism, Prior
from kernelsight.diagnosis.window import Window


def measure(window: Window) -> Iterable[Forking]:
    """The programs and stretches in which very many processes start each other."""
    return (found for found in window.once(forking) if found.each_other)


MECHANISM = Mechanism[Forking](
    fault=FORK_STORM,
    summary="The processes of a program start more of their kind. How long they live says nothing: they go on starting "
    "others as long as they do, and init ends them.",
    measure=measure,
    prior=Prior(
        2.5,
        because="judged: only a program whose children are each other's parents is a suspect; apart from shells that "
        "start shells, healthy ones are not",
    ),
    checks=(OFTEN, LASTS, COSTLY, NO_OTHER_PROGRAMS, REFUSED),
    explain=explain,
)
