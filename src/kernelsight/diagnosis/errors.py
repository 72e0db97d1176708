"""Calls that failed because something is used up, by the process that called."""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import dataclass

from kernelsight.diagnosis.identity import process_entity
from kernelsight.diagnosis.model import Entity, Evidence
from kernelsight.diagnosis.window import Window, grouped_by
from kernelsight.events.syscalls import SyscallError


@dataclass(frozen=True, slots=True)
class Failures:
    """What failed for one process, with one error, on one file system."""

    entity: Entity
    error: str
    calls: tuple[str, ...]
    """Names of the system calls."""
    count: int
    first_ns: int
    evidence: Evidence | None
    device_number: str | None = None
    """Of the file system of its files; None where the calls do not tell it, or were not asked for it."""


def failures(
    window: Window, errors: Collection[int], calls: Collection[str] | None = None, *, by_file_system: bool = False
) -> list[Failures]:
    """The failures with these errors, those of whom most failed first.

    Args:
        window: where they are from.
        errors: the error numbers.
        calls: names of the system calls; all where none are named.
        by_file_system: those on each file system apart.
    """
    wanted = [
        row for row in window.rows(SyscallError) if row.errno in errors and (calls is None or row.syscall_name in calls)
    ]
    found = [
        Failures(
            entity=process_entity(pid, rows[-1].comm),
            error=str(error),
            calls=tuple(sorted({str(row.syscall_name) for row in rows})),
            count=sum(row.count or 0 for row in rows),
            first_ns=rows[0].timestamp,
            evidence=window.evidence(rows, SyscallError.count, "sum"),
            device_number=device,
        )
        for (pid, error, device), rows in grouped_by(
            wanted, lambda row: (row.pid, row.error, row.device_number if by_file_system else None)
        ).items()
    ]
    return sorted(found, key=lambda one: -one.count)
