"""Readers of pipes that have stopped reading, or read seldom, though they do not compute."""

from __future__ import annotations

from collections.abc import Iterable

from kernelsight.diagnosis.duration import LASTS
from kernelsight.diagnosis.faults.slow_dependency import SLOW_DEPENDENCY
from kernelsight.diagnosis.mechanism import Check, Explanation, Mechanism
from kernelsight.diagnosis.pipes import HELD_UP, KEPT_UP_BEFORE, HeldUp, explanation, held_up
from kernelsight.diagnosis.remedies import LOOK
from kernelsight.diagnosis.unanswered_checks import IDLE_CPUS
from kernelsight.diagnosis.window import Window


def measure(window: Window) -> Iterable[HeldUp]:
    """Each writer that waits for the reader of its pipe most of the time."""
    return window.once(held_up)


def explain(window: Window, suspect: HeldUp) -> Explanation:
    """The writer goes on when the reader does."""
    reader = suspect.reader
    action = LOOK.on(reader, f"see what {reader.name} waits for instead of reading, such as a disk or another program")
    return explanation(window, suspect, f"hardly computes meanwhile, {suspect.ran:.1f} CPUs", action)


MECHANISM = Mechanism[HeldUp](
    fault=SLOW_DEPENDENCY,
    summary="The reader of a pipe reads no more, or seldom, and waits for something itself. The pipe is full, and who "
    "writes waits, such as a server for who takes its log.",
    measure=measure,
    checks=(
        HELD_UP,
        KEPT_UP_BEFORE,
        Check(
            id="reader_waits",
            says="the reader hardly computes",
            holds=lambda suspect: suspect.ran <= IDLE_CPUS,
            supports=1.0,
            refutes=5.0,
            because="judged: a reader that computes is the bottleneck itself (`thread_saturation`)",
        ),
        Check(
            id="no_user_decides",
            says="the reader does not wait at a terminal",
            holds=lambda suspect: None if suspect.waits_for_user is None else not suspect.waits_for_user,
            supports=0.0,
            refutes=8.0,
            because="a pager, or a program whose output is stopped with Ctrl-S (termios(3)), goes on when its user "
            "wants it to",
        ),
        LASTS,
    ),
    explain=explain,
)
