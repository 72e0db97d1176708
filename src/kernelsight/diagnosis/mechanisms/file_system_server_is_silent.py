"""File systems whose server, a program or another machine, does not answer."""

from __future__ import annotations

from collections.abc import Iterable

from kernelsight.diagnosis.faults.blocked_io import BLOCKED_IO
from kernelsight.diagnosis.hanging import CALLS_STORAGE, PLACE_KNOWN, Hanging, explanation, hanging
from kernelsight.diagnosis.mechanism import Explanation, Mechanism, Prior, claim
from kernelsight.diagnosis.window import Window
from kernelsight.events.scheduler import BlockedTask


def measure(window: Window) -> Iterable[Hanging]:
    """Each mount on which all tasks that hang wait for an answer of a server."""
    return (suspect for suspect in window.once(hanging) if suspect.cause == "served")


def explain(window: Window, suspect: Hanging) -> Explanation:
    """Tasks wait for an answer; no device of this machine has a part in it."""
    name = suspect.culprit.name
    return explanation(
        window,
        suspect,
        claim(
            f"they wait for the program or the machine that serves {name}",
            window.evidence(suspect.rows, BlockedTask.blocked_ms, "count"),
        ),
        does="gets no answer from its server",
        action=f"see why the server of {name} does not answer; umount --force ends the waits",
    )


MECHANISM = Mechanism[Hanging](
    fault=BLOCKED_IO,
    summary="A program (FUSE) or another machine (NFS, SMB, 9P, Ceph) serves a file system and does not answer, and "
    "the tasks that need it sleep.",
    measure=measure,
    prior=Prior(
        4.0,
        because="judged: only tasks that hang in the functions in which the kernel waits for an answer of a server are "
        "suspects; where one waits for seconds, the server answers nothing",
    ),
    checks=(PLACE_KNOWN, CALLS_STORAGE),
    explain=explain,
)
