"""Let a process give way to others on the disks."""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import Annotated, Literal

import msgspec

from kernelsight.agent.acting.action import action
from kernelsight.agent.acting.changes import Change, SetIoPriority, io_priorities
from kernelsight.agent.acting.io_priority import IO_BEST_EFFORT, IO_CLASS_SHIFT, IO_IDLE
from kernelsight.agent.acting.subject import ProcessSubject, RefusedError
from kernelsight.collectors.base import Host

_HEEDED_BY = frozenset({"bfq", "mq-deadline"})
"""Schedulers that heed priorities (Documentation/block/ioprio.rst; mq-deadline since Linux 5.14)."""
_CHOSEN = re.compile(r"\[(\S+)\]")


class Asked(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """Which priority."""

    io_class: Literal["idle", "best-effort"] = "best-effort"
    level: Annotated[int, msgspec.Meta(ge=0, le=7)] = 7
    """Of best-effort, 0 the highest. `idle` may starve, so it has to be asked for."""


@action("ionice", targets=("process",), asked=Asked)
def ionice(host: Host, subject: ProcessSubject, asked: Asked, limits: msgspec.Struct) -> Iterator[Change]:
    """Lower the I/O priority of a process and its threads, where an I/O scheduler heeds it."""
    del limits
    if not schedulers(host) & _HEEDED_BY:
        raise RefusedError(f"no disk has a scheduler that heeds priorities: {', '.join(sorted(_HEEDED_BY))}")
    value = IO_IDLE << IO_CLASS_SHIFT if asked.io_class == "idle" else IO_BEST_EFFORT << IO_CLASS_SHIFT | asked.level
    former = io_priorities(host, subject.pid)
    if all(priority == value for _, priority in former):
        raise RefusedError(f"{subject.name} has that I/O priority already")
    yield SetIoPriority(pid=subject.pid, start_ticks=subject.start_ticks, former=former, value=value)


def schedulers(host: Host) -> frozenset[str]:
    """The I/O schedulers that are in use."""
    texts = [path.read_text("ascii") for path in host.sys.glob("block/*/queue/scheduler")]
    return frozenset(chosen.group(1) for text in texts if (chosen := _CHOSEN.search(text)))
