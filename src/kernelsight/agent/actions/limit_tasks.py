"""Bound how many processes and threads a process or a group may have."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Annotated

import msgspec

from kernelsight.agent.acting import groups
from kernelsight.agent.acting.action import action
from kernelsight.agent.acting.changes import Change, read_value
from kernelsight.agent.acting.subject import GroupSubject, ProcessSubject, RefusedError
from kernelsight.collectors.base import Host

Tasks = Annotated[int, msgspec.Meta(ge=1)]


class Asked(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """How many."""

    most: Tasks = 100


class Limits(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """How few they may be."""

    least: Tasks = 10
    """Enough for a program to go on and to end in order."""


@action("limit_tasks", targets=("process", "cgroup"), asked=Asked, limits=Limits)
def limit_tasks(host: Host, subject: ProcessSubject | GroupSubject, asked: Asked, limits: Limits) -> Iterator[Change]:
    """Bound the tasks of a process (in a control group of its own) or of a control group; further forks fail."""
    if asked.most < limits.least:
        raise RefusedError(f"{asked.most} tasks are fewer than the {limits.least} that it must be allowed")
    if isinstance(subject, ProcessSubject):
        place = groups.for_process(host, subject, "pids")
    else:
        place = groups.of_group(host, subject, "pids")
        now = read_value(place.folder / "pids.max")
        if now != "max" and int(now) <= asked.most:
            raise RefusedError(f"{subject.name} may have {now} tasks already")
    yield from groups.set_task_limit(place, asked.most)
