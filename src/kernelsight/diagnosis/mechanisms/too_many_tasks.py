"""As many processes and threads as a control group, a user or the machine may have: none can be started any more."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import replace

from kernelsight.diagnosis.faults.task_limit import TASK_LIMIT
from kernelsight.diagnosis.forking import ASKED_SHARE, forking
from kernelsight.diagnosis.mechanism import Check, Explanation, Mechanism, Prior
from kernelsight.diagnosis.remedies import LOOK
from kernelsight.diagnosis.task_use import (
    AGAIN_AND_AGAIN,
    FORKS_REFUSED,
    TaskUse,
    explained,
    raise_limit,
    task_uses,
)
from kernelsight.diagnosis.window import Window


def measure(window: Window) -> Iterable[TaskUse]:
    """Each limit that is not filled mostly by ended children of one parent."""
    for use in window.once(task_uses):
        if use.owner is None or not use.owner.have_ended:
            yield replace(use, is_storm=_is_storm(window, use))


def _is_storm(window: Window, use: TaskUse) -> bool:
    """Whether one of the programs that are refused starts processes so fast that any limit would be met."""
    pids = {row.pid for row in use.failed}
    return any(
        pids & {row.pid for row in suspect.rows} and suspect.asked < ASKED_SHARE * suspect.forks
        for suspect in window.once(forking)
    )


def explain(window: Window, use: TaskUse) -> Explanation:
    """Whoever has most of the tasks, or else the limit, is what to act on."""
    owner, culprit = use.owner, use.culprit
    return explained(
        window,
        use,
        owned=f"has {owner.tasks} of the {owner.of_seen} tasks that were seen" if owner else "",
        refuted_by=f"forks are refused as well with a larger limit ({use.name})",
        actions=(raise_limit(use), LOOK.on(culprit, f"see why {culprit.name} has so many tasks: ps -eLf")),
    )


MECHANISM = Mechanism[TaskUse](
    fault=TASK_LIMIT,
    summary="There are as many processes and threads as a control group (pids.max), a user (RLIMIT_NPROC) or the "
    "machine may have. A fork fails with EAGAIN.",
    measure=measure,
    prior=Prior(1.0, because="judged: only a limit that refuses forks, or will be met soon, is a suspect"),
    checks=(
        FORKS_REFUSED,
        AGAIN_AND_AGAIN,
        Check(
            id="owner_is_known",
            says="it is known who has most of the tasks",
            holds=lambda use: use.owner is not None,
            supports=1.0,
            refutes=0.5,
            because="judged: a program that has most of the tasks makes it sure that they are too many; the limit may "
            "as well be too small",
        ),
        Check(
            id="no_storm",
            says="none of the refused programs starts processes all the time",
            holds=lambda use: not use.is_storm,
            supports=0.0,
            refutes=6.0,
            because="judged: a program that starts processes all the time meets any limit, and is told as `fork_storm`",
        ),
    ),
    explain=explain,
)
