"""A parent that does not wait for its children: those that have ended stay as zombies, and count as tasks."""

from __future__ import annotations

from collections.abc import Iterable

from kernelsight.diagnosis.faults.task_limit import TASK_LIMIT
from kernelsight.diagnosis.mechanism import Explanation, Mechanism, Prior
from kernelsight.diagnosis.remedies import RESTART
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
    """Each limit that is filled mostly by ended children of one parent."""
    return (use for use in window.once(task_uses) if use.owner is not None and use.owner.have_ended)


def explain(window: Window, use: TaskUse) -> Explanation:
    """The parent must wait for them; when it ends, they go away."""
    owner, culprit = use.owner, use.culprit
    ended = (
        f"does not wait for {owner.tasks} children that have ended (zombies), of {owner.of_seen} tasks that were seen"
        if owner
        else ""
    )
    return explained(
        window,
        use,
        owned=ended,
        refuted_by=f"forks are refused as well after {culprit.name} has been ended, which ends its zombies",
        actions=(
            RESTART.on(culprit, f"restart {culprit.name}; it must wait for its children (waitpid, SIGCHLD)"),
            raise_limit(use),
        ),
    )


MECHANISM = Mechanism[TaskUse](
    fault=TASK_LIMIT,
    summary="A parent does not wait for children that have ended. Each stays as a zombie and counts as a task, until "
    "the limit is met and nobody can start one.",
    measure=measure,
    prior=Prior(
        2.0,
        because="judged: only a limit that refuses forks, or will be met soon, is a suspect, and it is known who fills "
        "it: a parent that leaves so many zombies has a defect",
    ),
    checks=(FORKS_REFUSED, AGAIN_AND_AGAIN),
    explain=explain,
)
