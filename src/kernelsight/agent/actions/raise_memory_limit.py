"""Let a group that its limit holds back have more memory."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Annotated

import msgspec

from kernelsight.agent.acting import groups
from kernelsight.agent.acting.action import action
from kernelsight.agent.acting.changes import Change, SetFile, read_value
from kernelsight.agent.acting.subject import GroupSubject, RefusedError
from kernelsight.collectors.base import Host
from kernelsight.collectors.procfs.memory import parse_meminfo


class Asked(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """By how much."""

    factor: Annotated[float, msgspec.Meta(gt=1, le=4)] = 1.5


class Limits(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """How much at most."""

    most_of_available: Annotated[float, msgspec.Meta(gt=0, le=0.9)] = 0.5
    """Of the memory that the machine has available, how much the group may get in addition."""


@action("raise_memory_limit", targets=("cgroup",), asked=Asked, limits=Limits)
def raise_memory_limit(host: Host, subject: GroupSubject, asked: Asked, limits: Limits) -> Iterator[Change]:
    """Raise the memory limit of a control group, by a part of what the machine has available."""
    place = groups.of_group(host, subject, "memory")
    path, limit = groups.memory_limit(place)
    if limit is None:
        raise RefusedError(f"{subject.name} has no memory limit")
    more = min(limit * (asked.factor - 1), available_bytes(host) * limits.most_of_available)
    wanted = groups.page_aligned(limit + more)
    if wanted <= limit:
        raise RefusedError(f"the machine has no memory to spare for {subject.name}")
    use = groups.memory_use_file(place)
    yield SetFile(path=str(path), former=read_value(path), value=str(wanted), use_path=str(use))


def available_bytes(host: Host) -> int:
    """What could be used without swapping (MemAvailable, Documentation/filesystems/proc.rst)."""
    available_kb = parse_meminfo((host.proc / "meminfo").read_bytes(), 0).mem_available_kb
    if available_kb is not None:
        return available_kb * 1024
    raise RefusedError("the machine does not say how much memory is available")
