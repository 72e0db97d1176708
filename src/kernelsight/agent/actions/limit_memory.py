"""Hold a group's memory where it is."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Annotated

import msgspec

from kernelsight.agent.acting import groups
from kernelsight.agent.acting.action import action
from kernelsight.agent.acting.changes import Change
from kernelsight.agent.acting.subject import GroupSubject, ProcessSubject, RefusedError, StaleError
from kernelsight.collectors.base import Host
from kernelsight.collectors.procfs.process_text import parse_status
from kernelsight.quantities import quantity


class Asked(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """How much more it may use."""

    headroom: Annotated[float, msgspec.Meta(ge=0.0, le=1.0)] = 0.1
    """Of what it uses now. Never less than it uses: in version 1 that would kill, and not slow down."""


class Limits(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """How tight it may be."""

    least_headroom: Annotated[float, msgspec.Meta(ge=0.0, le=1.0)] = 0.05


@action("limit_memory", targets=("process", "cgroup"), asked=Asked, limits=Limits)
def limit_memory(host: Host, subject: ProcessSubject | GroupSubject, asked: Asked, limits: Limits) -> Iterator[Change]:
    """Keep the memory of a process or a control group from growing: memory.high, or of a group in version 1 the limit.

    The memory that a process has stays with the group that it was in (cgroup-v2.rst, "Memory Ownership"), so a group
    of its own may have the headroom alone. In version 1 a process is not limited alone: its limit would kill it.
    """
    if asked.headroom < limits.least_headroom:
        raise RefusedError(f"a headroom of {asked.headroom:.0%} is less than the {limits.least_headroom:.0%} allowed")
    if isinstance(subject, ProcessSubject):
        place = groups.for_process(host, subject, "memory")
        if place.version == 1:
            raise RefusedError(
                f"in version 1 of control groups a limit of memory kills {subject.name}, and slows it not"
            )
    else:
        place = groups.of_group(host, subject, "memory")
    if place.steps:
        assert isinstance(subject, ProcessSubject)
        wanted = groups.page_aligned(resident_bytes(host, subject) * asked.headroom + groups.PAGES)
        yield from groups.set_memory_high(place, wanted)
        return
    wanted = groups.page_aligned(groups.memory_use(place) * (1 + asked.headroom) + groups.PAGES)
    _, hard = groups.memory_limit(place)
    if hard is not None and hard <= wanted:
        raise RefusedError(f"{subject.name} has a limit of {quantity(hard, 'B')} already")
    yield from groups.set_memory_high(place, wanted)


def resident_bytes(host: Host, subject: ProcessSubject) -> int:
    """What a process has in memory (VmRSS of /proc/PID/status, Documentation/filesystems/proc.rst)."""
    try:
        status = parse_status((host.proc / str(subject.pid) / "status").read_bytes())
    except OSError as error:
        raise StaleError(f"process {subject.pid} is gone") from error
    if status.rss_kb is None:
        raise RefusedError(f"/proc/{subject.pid}/status does not say how much memory {subject.name} has")
    return status.rss_kb * 1024
