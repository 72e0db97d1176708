"""File systems that somebody has frozen and not thawed."""

from __future__ import annotations

from collections.abc import Iterable

from kernelsight.diagnosis.faults.blocked_io import BLOCKED_IO
from kernelsight.diagnosis.hanging import CALLS_STORAGE, IDLE, PLACE_KNOWN, Hanging, explanation, hanging
from kernelsight.diagnosis.mechanism import Explanation, Mechanism, Prior, claim
from kernelsight.diagnosis.window import Window
from kernelsight.events.scheduler import BlockedTask


def measure(window: Window) -> Iterable[Hanging]:
    """Each device or mount on which all tasks that hang wait for a file system to be thawed."""
    return (suspect for suspect in window.once(hanging) if suspect.cause == "frozen")


def explain(window: Window, suspect: Hanging) -> Explanation:
    """Writers wait until the file system is thawed; its device has no part in it."""
    name = suspect.culprit.name
    return explanation(
        window,
        suspect,
        claim(
            f"they wait for {name} to be thawed, not for its device",
            window.evidence(suspect.rows, BlockedTask.blocked_ms, "count"),
        ),
        does="is frozen",
        action=f"thaw {name} (fsfreeze --unfreeze)",
    )


MECHANISM = Mechanism[Hanging](
    fault=BLOCKED_IO,
    summary="A file system is frozen (fsfreeze(8), a snapshot), and writers sleep until it is thawed.",
    measure=measure,
    prior=Prior(
        1.5,
        because="judged: only tasks that hang in the functions in which writers wait for a frozen file system are "
        "suspects; readers of a lock of the kernel wait there for moments",
    ),
    checks=(IDLE, PLACE_KNOWN, CALLS_STORAGE),
    explain=explain,
)
