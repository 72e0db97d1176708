"""Calls that failed because something is used up, by the process that called."""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import dataclass

from kernelsight.diagnosis.model import Entity, Evidence
from kernelsight.diagnosis.scene import Scene, grouped


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
    scene: Scene, errors: Collection[int], calls: Collection[str] | None = None, *, by_file_system: bool = False
) -> list[Failures]:
    """The failures with these errors, those of whom most failed first.

    Args:
        scene: where they are from.
        errors: the error numbers.
        calls: names of the system calls; all where none are named.
        by_file_system: those on each file system apart.
    """
    columns = ("pid", "error", "device_number") if by_file_system else ("pid", "error")
    wanted = [
        row
        for row in scene.rows("syscall_error")
        if row["errno"] in errors and (calls is None or row["syscall_name"] in calls)
    ]
    found = [
        Failures(
            entity=Entity("process", str(pid), str(rows[-1]["comm"])),
            error=str(error),
            calls=tuple(sorted({str(row["syscall_name"]) for row in rows})),
            count=sum(row["count"] or 0 for row in rows),
            first_ns=rows[0]["timestamp"],
            evidence=scene.evidence("syscall_error", rows, "count", "sum"),
            device_number=rows[-1]["device_number"] if by_file_system else None,
        )
        for (pid, error, *_), rows in grouped(wanted, *columns).items()
    ]
    return sorted(found, key=lambda one: -one.count)
