"""Calls that failed because something is used up, by the process that called."""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import dataclass

from kernelsight.diagnosis.model import Entity, Evidence
from kernelsight.diagnosis.scene import Scene, grouped


@dataclass(frozen=True, slots=True)
class Failures:
    """What failed for one process, with one error."""

    entity: Entity
    error: str
    calls: tuple[str, ...]
    """Names of the system calls."""
    count: int
    first_ns: int
    evidence: Evidence | None


def failures(scene: Scene, errors: Collection[int], calls: Collection[str] | None = None) -> list[Failures]:
    """The failures with these errors, those of whom most failed first; of these system calls where any are named."""
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
        )
        for (pid, error), rows in grouped(wanted, "pid", "error").items()
    ]
    return sorted(found, key=lambda one: -one.count)
