"""Programs whose processes have children."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from kernelsight.diagnosis.scene import Row, Scene, grouped


@dataclass(frozen=True, slots=True)
class Family:
    """A program that has children: its rows of the kind `sched_process`."""

    comm: str
    group: int | None
    rows: Sequence[Row]


def families(scene: Scene) -> list[Family]:
    """Who has children, by program. Use with :meth:`Scene.once`."""
    rows = [row for row in scene.rows("sched_process") if row["forks"]]
    return [Family(str(comm), group, of) for (comm, group), of in grouped(rows, "comm", "cgroup_id").items()]


def most_children(rows: Iterable[Row]) -> tuple[int, int]:
    """The process that has most children by these rows, and how many."""
    forks: dict[int, int] = {}
    for row in rows:
        forks[row["pid"]] = forks.get(row["pid"], 0) + row["forks"]
    return max(forks.items(), key=lambda one: (one[1], -one[0]))
