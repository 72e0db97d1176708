"""Give a process or a group a CPU quota."""

from __future__ import annotations

import os
from collections.abc import Iterator
from typing import Annotated

import msgspec

from kernelsight.agent.acting import groups
from kernelsight.agent.acting.action import action
from kernelsight.agent.acting.changes import Change
from kernelsight.agent.acting.subject import GroupSubject, ProcessSubject, RefusedError
from kernelsight.collectors.base import Host

Share = Annotated[float, msgspec.Meta(gt=0, le=1)]


class Asked(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """How much is left to it."""

    share: Share = 0.5
    """Of all CPUs of the machine: half is for it, half for everybody else."""


class Limits(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """How little it may be."""

    least_share: Share = 0.1


@action("limit_cpu", targets=("process", "cgroup"), asked=Asked, limits=Limits)
def limit_cpu(host: Host, subject: ProcessSubject | GroupSubject, asked: Asked, limits: Limits) -> Iterator[Change]:
    """Give a process (in a control group of its own) or a control group a CPU quota."""
    if asked.share < limits.least_share:
        raise RefusedError(f"{asked.share:.0%} of the CPUs is less than the {limits.least_share:.0%} that it must have")
    if isinstance(subject, ProcessSubject):
        place = groups.for_process(host, subject, "cpu")
    else:
        place = groups.of_group(host, subject, "cpu")
    quota, period = (None, groups.PERIOD_US) if place.steps else groups.cpu_quota(place)
    wanted = round(asked.share * (os.cpu_count() or 1) * period)
    if quota is not None and quota <= wanted:
        raise RefusedError(f"{subject.name} has a quota of {quota} us already, in each {period} us")
    yield from groups.set_cpu_quota(place, wanted)
