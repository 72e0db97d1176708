"""Readers of pipes that compute all the time and no longer keep up with who writes."""

from __future__ import annotations

from collections.abc import Iterable

from kernelsight.diagnosis.duration import LASTS
from kernelsight.diagnosis.faults.thread_saturation import THREAD_SATURATION
from kernelsight.diagnosis.mechanism import Check, Explanation, Mechanism
from kernelsight.diagnosis.pipes import HELD_UP, KEPT_UP_BEFORE, HeldUp, explanation, held_up
from kernelsight.diagnosis.remedies import LOOK
from kernelsight.diagnosis.threshold import Threshold
from kernelsight.diagnosis.window import Window

COMPUTES_SHARE = Threshold(
    0.8, "CPUs", because="judged: one thread can use one CPU at most; the rest is for the moments in which it reads"
)
KEPT_FROM_CPU_SHARE = Threshold(
    0.2, "share of the time that it wanted a CPU", because="judged: more, and it is slow for want of a CPU"
)


def measure(window: Window) -> Iterable[HeldUp]:
    """Each writer that waits for the reader of its pipe most of the time."""
    return window.once(held_up)


def explain(window: Window, suspect: HeldUp) -> Explanation:
    """The one thread of the reader is the bottleneck."""
    reader = suspect.reader
    action = LOOK.on(reader, f"see what {reader.name} computes for what it reads, and since when so much")
    return explanation(window, suspect, f"computes all the time, {suspect.ran:.1f} CPUs", action)


MECHANISM = Mechanism[HeldUp](
    fault=THREAD_SATURATION,
    summary="The reader of a pipe computes all the time in its one thread. The pipe is full, and who writes waits.",
    measure=measure,
    checks=(
        HELD_UP,
        KEPT_UP_BEFORE,
        Check(
            id="reader_computes",
            says="the reader computes all the time",
            holds=lambda suspect: suspect.ran >= COMPUTES_SHARE,
            supports=1.0,
            refutes=5.0,
            because="judged: a reader that does not compute waits for something itself (`slow_dependency`)",
        ),
        Check(
            id="has_a_cpu",
            says="the reader has a CPU nearly whenever it wants one",
            holds=lambda suspect: suspect.kept_from_cpu_share <= KEPT_FROM_CPU_SHARE,
            supports=0.0,
            refutes=3.0,
            because="judged: where others take its CPU away, it is slow for want of one (`cpu_saturation`)",
        ),
        LASTS,
    ),
    explain=explain,
)
