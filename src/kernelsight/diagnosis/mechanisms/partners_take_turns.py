"""Processes that wake each other so often that switching between them is much of what they do."""

from __future__ import annotations

from collections.abc import Iterable

from kernelsight.diagnosis.cpu_time import SHORT_SLICE_S
from kernelsight.diagnosis.duration import LASTS
from kernelsight.diagnosis.faults.context_switch_storm import CONTEXT_SWITCH_STORM
from kernelsight.diagnosis.mechanism import Check, Mechanism
from kernelsight.diagnosis.switching import COSTLY, FEW, NO_LOCK, Switching, explain, gives_away, switching
from kernelsight.diagnosis.window import Window


def measure(window: Window) -> Iterable[Switching]:
    """The stretches in which those who switch most wait in between."""
    return (suspect for suspect in window.once(switching) if not gives_away(suspect))


MECHANISM = Mechanism[Switching](
    fault=CONTEXT_SWITCH_STORM,
    summary="A few processes wake each other after a few microseconds of work, as over a pipe with tiny messages.",
    measure=measure,
    checks=(
        COSTLY,
        Check(
            id="short_slices",
            says="they run for {slice_us:.0f} µs at a time",
            holds=lambda suspect: suspect.slice_s <= SHORT_SLICE_S,
            supports=1.5,
            refutes=4.0,
            because="judged: who works longer between two switches spends its time on that work",
        ),
        LASTS,
        FEW,
        NO_LOCK,
    ),
    explain=explain,
)
