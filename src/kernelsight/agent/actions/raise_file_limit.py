"""Let a process open more files, to gain time."""

from __future__ import annotations

import resource
from collections.abc import Iterator
from typing import Annotated

import msgspec

from kernelsight.agent.acting.action import action
from kernelsight.agent.acting.changes import Change, SetFileLimit
from kernelsight.agent.acting.subject import ProcessSubject, RefusedError
from kernelsight.collectors.base import Host
from kernelsight.collectors.privileges import Capability, missing


class Asked(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """By how much."""

    factor: Annotated[float, msgspec.Meta(gt=1, le=16)] = 2.0


class Limits(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """How far at most."""

    most_files: Annotated[int, msgspec.Meta(ge=1)] = 1 << 20
    """1,048,576: fs.nr_open, which the kernel has by default as the highest limit."""


@action("raise_file_limit", targets=("process",), asked=Asked, limits=Limits)
def raise_file_limit(host: Host, subject: ProcessSubject, asked: Asked, limits: Limits) -> Iterator[Change]:
    """Raise how many files a process may have open; beyond its hard limit only with CAP_SYS_RESOURCE."""
    del host
    former = resource.prlimit(subject.pid, resource.RLIMIT_NOFILE)
    soft, hard = former
    if soft == resource.RLIM_INFINITY:
        raise RefusedError(f"{subject.name} has no limit of open files")
    wanted = min(int(soft * asked.factor), limits.most_files)
    if hard != resource.RLIM_INFINITY and missing((Capability.CAP_SYS_RESOURCE,)):
        wanted = min(wanted, hard)
    if wanted <= soft:
        raise RefusedError(f"{subject.name} may have {soft} files open, and cannot be allowed more")
    highest = hard if hard == resource.RLIM_INFINITY else max(hard, wanted)
    yield SetFileLimit(pid=subject.pid, start_ticks=subject.start_ticks, former=former, value=(wanted, highest))
