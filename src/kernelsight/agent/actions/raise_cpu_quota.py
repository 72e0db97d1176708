"""Let a group that its quota holds back use more of the CPUs."""

from __future__ import annotations

import os
from collections.abc import Iterator
from typing import Annotated

import msgspec

from kernelsight.agent.acting import groups
from kernelsight.agent.acting.action import action
from kernelsight.agent.acting.changes import Change
from kernelsight.agent.acting.subject import GroupSubject, RefusedError
from kernelsight.collectors.base import Host


class Asked(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """By how much."""

    factor: Annotated[float, msgspec.Meta(gt=1, le=16)] = 2.0


class Limits(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """How far at most."""

    most_share: Annotated[float, msgspec.Meta(gt=0, le=1)] = 0.5
    """Of all CPUs of the machine: a quota beyond that protects nobody any more."""


@action("raise_cpu_quota", targets=("cgroup",), asked=Asked, limits=Limits)
def raise_cpu_quota(host: Host, subject: GroupSubject, asked: Asked, limits: Limits) -> Iterator[Change]:
    """Raise the CPU quota of a control group."""
    place = groups.of_group(host, subject, "cpu")
    quota, period = groups.cpu_quota(place)
    if quota is None:
        raise RefusedError(f"{subject.name} has no quota")
    most = round(limits.most_share * (os.cpu_count() or 1) * period)
    wanted = min(round(quota * asked.factor), most)
    if wanted <= quota:
        raise RefusedError(f"{subject.name} has {quota} us in each {period} us, which is all that the policy allows")
    yield from groups.set_cpu_quota(place, wanted)
