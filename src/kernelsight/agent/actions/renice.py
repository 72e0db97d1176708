"""Let a process give way to others on the CPUs."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Annotated

import msgspec

from kernelsight.agent.acting.action import action
from kernelsight.agent.acting.changes import Change, SetNice, nice_values
from kernelsight.agent.acting.subject import ProcessSubject, RefusedError
from kernelsight.collectors.base import Host

Level = Annotated[int, msgspec.Meta(ge=1, le=19)]


class Asked(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """How far."""

    nice: Level = 10
    """A tenth of the weight of a process of nice 0 (sched_prio_to_weight, kernel/sched/core.c)."""


class Limits(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """How far at most."""

    most_nice: Level = 19


@action("renice", targets=("process",), asked=Asked, limits=Limits)
def renice(host: Host, subject: ProcessSubject, asked: Asked, limits: Limits) -> Iterator[Change]:
    """Raise the nice value of a process and its threads, so that others get the CPUs first; never lowers it."""
    if asked.nice > limits.most_nice:
        raise RefusedError(f"nice {asked.nice} is beyond the {limits.most_nice} that the policy allows")
    former = nice_values(host, subject.pid)
    if min(nice for _, nice in former) >= asked.nice:
        raise RefusedError(f"{subject.name} has a nice value of {asked.nice} or more already")
    yield SetNice(pid=subject.pid, start_ticks=subject.start_ticks, former=former, value=asked.nice)
