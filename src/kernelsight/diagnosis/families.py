"""Programs whose processes have children."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from kernelsight.diagnosis.identity import ProgramId, by_program
from kernelsight.diagnosis.window import Window
from kernelsight.events.scheduler import SchedProcess


@dataclass(frozen=True, slots=True)
class Family:
    """A program that has children: its rows of the kind `sched_process`."""

    program: ProgramId
    rows: Sequence[SchedProcess]


def families(window: Window) -> list[Family]:
    """Who has children, by program. Use with :meth:`Window.once`."""
    rows = [row for row in window.rows(SchedProcess) if row.forks]
    return [Family(program, of) for program, of in by_program(window, rows).items()]


def most_children(rows: Iterable[SchedProcess]) -> tuple[int, int]:
    """The process that has most children by these rows, and how many."""
    forks: dict[int, int] = {}
    for row in rows:
        if row.pid is not None:
            forks[row.pid] = forks.get(row.pid, 0) + (row.forks or 0)
    return max(forks.items(), key=lambda one: (one[1], -one[0]))
