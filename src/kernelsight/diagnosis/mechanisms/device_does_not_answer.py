"""Devices that complete no request, and tasks that hang on storage of which no more is known."""

from __future__ import annotations

from collections.abc import Iterable

from kernelsight.diagnosis.devices import shown
from kernelsight.diagnosis.faults.blocked_io import BLOCKED_IO
from kernelsight.diagnosis.hanging import CALLS_STORAGE, IDLE, PLACE_KNOWN, Hanging, explanation, hanging
from kernelsight.diagnosis.mechanism import Explanation, Mechanism, Prior, claim
from kernelsight.diagnosis.model import Step
from kernelsight.diagnosis.window import Window
from kernelsight.events.block import Block


def measure(window: Window) -> Iterable[Hanging]:
    """Each device that is stuck, and each device or mount on which tasks hang, unless it is frozen or served."""
    return (suspect for suspect in window.once(hanging) if suspect.cause == "other")


def explain(window: Window, suspect: Hanging) -> Explanation:
    """The device does not complete what it was asked for."""
    name = suspect.culprit.name
    return explanation(
        window,
        suspect,
        _stuck(window, suspect),
        does="completes none of its requests",
        action=f"see what {name} is made of, and why it does not answer",
    )


def _stuck(window: Window, suspect: Hanging) -> Step | None:
    device, stuck = suspect.device, suspect.stuck
    if device is None or stuck is None:
        return None
    return claim(
        f"{suspect.place} has requests under way for {stuck.seconds} s and completes none",
        shown(window, device, stuck, Block.in_flight, "min"),
        shown(window, device, stuck, Block.read_ios),
        shown(window, device, stuck, Block.write_ios),
    )


MECHANISM = Mechanism[Hanging](
    fault=BLOCKED_IO,
    summary="A device has requests under way and completes none. The tasks that wait for it sleep and cannot be ended.",
    measure=measure,
    prior=Prior(
        1.5,
        because="judged: only tasks that sleep uninterruptibly for seconds are suspects, and devices that complete "
        "nothing for as long, which a healthy machine does not have",
    ),
    checks=(IDLE, PLACE_KNOWN, CALLS_STORAGE),
    explain=explain,
)
