"""Starts of the machine, with another kernel or command line than before."""

from __future__ import annotations

from collections.abc import Iterator

from kernelsight.diagnosis.change import NS_PER_S, Period, Subject, cited
from kernelsight.diagnosis.model import Change, Entity
from kernelsight.diagnosis.touching import Places, Touch
from kernelsight.events.boot import Boot

_CLOCK_ERROR_NS = 60 * NS_PER_S
"""The start seems to move when the clock is set: a start that is later by less is the same one."""
_MACHINE = Entity("machine", "machine", "machine")


def _changes(period: Period) -> Iterator[Change]:
    before: Boot | None = None
    for row in period.history(Boot):
        is_new = before is None or abs((row.boot_ns or 0) - (before.boot_ns or 0)) > _CLOCK_ERROR_NS
        if is_new and row.boot_ns is not None and period.when.start_ns <= row.boot_ns <= period.when.end_ns:
            yield Change(
                subject="boot",
                item="machine",
                claim=f"the machine was started, with kernel {row.kernel_release}{_instead(row, before)}",
                at_ns=row.boot_ns,
                after_ns=row.boot_ns,
                evidence=cited(row),
                about=(_MACHINE,),
            )
        before = row


def _instead(row: Boot, before: Boot | None) -> str:
    if before is None:
        return ""
    parts = []
    if row.kernel_release != before.kernel_release:
        parts.append(f"instead of {before.kernel_release}")
    if row.command_line != before.command_line:
        parts.append("and another command line")
    return f" {' '.join(parts)}" if parts else ", the same as before"


def _touches(change: Change, its: Places) -> Touch | None:
    """With the machine everything was started."""
    del change, its
    return Touch(1, "everything runs since then only")


SUBJECT = Subject(
    meaning="the start of the machine, its kernel and the kernel's command line",
    collectors=("boot",),
    read=_changes,
    touches=_touches,
)
