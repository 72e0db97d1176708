"""Hold a group's memory where it is."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Annotated

import msgspec

from kernelsight.agent.acting import groups
from kernelsight.agent.acting.action import action
from kernelsight.agent.acting.changes import Change, SetFile, read_value
from kernelsight.agent.acting.subject import GroupSubject, RefusedError
from kernelsight.collectors.base import Host
from kernelsight.diagnosis.model import Finding, Proposal
from kernelsight.quantities import quantity


class Asked(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """How much more it may use."""

    headroom: Annotated[float, msgspec.Meta(ge=0.0, le=1.0)] = 0.1
    """Of what it uses now. Never less than it uses: in version 1 that would kill, and not slow down."""


class Limits(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """How tight it may be."""

    least_headroom: Annotated[float, msgspec.Meta(ge=0.0, le=1.0)] = 0.05


def answer(finding: Finding, proposal: Proposal) -> Asked | None:
    """A finding proposes it by this name."""
    del finding
    return Asked() if proposal.action == "limit_memory" and proposal.target.kind == "cgroup" else None


@action("limit_memory", targets=("cgroup",), asked=Asked, limits=Limits, answers=answer)
def limit_memory(host: Host, subject: GroupSubject, asked: Asked, limits: Limits) -> Iterator[Change]:
    """Keep the memory of a control group from growing: memory.high, or in version 1 the limit itself."""
    if asked.headroom < limits.least_headroom:
        raise RefusedError(f"a headroom of {asked.headroom:.0%} is less than the {limits.least_headroom:.0%} allowed")
    place = groups.of_group(host, subject, "memory")
    wanted = groups.page_aligned(groups.memory_use(place) * (1 + asked.headroom) + groups.PAGES)
    _, hard = groups.memory_limit(place)
    if hard is not None and hard <= wanted:
        raise RefusedError(f"{subject.name} has a limit of {quantity(hard, 'B')} already")
    name = "memory.limit_in_bytes" if place.version == 1 else "memory.high"
    yield SetFile(path=str(place.folder / name), former=read_value(place.folder / name), value=str(wanted))
