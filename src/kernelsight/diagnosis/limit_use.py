"""How much of a kernel limit is in use, and by whom, as far as the window's rows tell."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from kernelsight.diagnosis.limits import OPEN_FILES, KernelLimit
from kernelsight.diagnosis.model import Entity, Evidence
from kernelsight.diagnosis.processes import processes
from kernelsight.diagnosis.scene import Row, Scene

MET_SHARE = 0.98
"""Of a limit, the use from which on it is met: it is sampled every few seconds, while objects come and go."""
HOLDS_MUCH = 0.3
"""Of what is held, the share of one process from which on it is the holder, and not one of many."""
MANY_FILES = 10_000
"""Open files of one process: of the machine's limit, which has at least some 100,000, a good part."""
NEAR_SHARE = 0.8
"""Of its limit of descriptors, what a process has open at least when that limit refuses it more."""


@dataclass(frozen=True, slots=True)
class LimitUse:
    """The samples of one limit, for one user or for all together."""

    rows: Sequence[Row]
    """Of the kind `limit`; empty where nobody recorded it."""

    @property
    def share(self) -> float | None:
        """The largest share of the limit that was in use; None where that is not known."""
        known = [row for row in self.rows if row["used"] is not None and row["maximum"]]
        return max((row["used"] / row["maximum"] for row in known), default=None)

    @property
    def is_met(self) -> bool | None:
        """Whether the limit was met within the window; None where that is not known."""
        return None if self.share is None else self.share >= MET_SHARE

    @property
    def fullest(self) -> Row:
        """The sample with the most in use; only where there is one."""
        return max(self.rows, key=lambda row: (row["used"] or 0, row["timestamp"]))

    def shown(self, scene: Scene) -> tuple[Evidence | None, ...]:
        """The numbers that show it."""
        return scene.evidence("limit", self.rows, "used", "max"), scene.evidence("limit", self.rows, "maximum", "last")


@dataclass(frozen=True, slots=True)
class Holding:
    """What one process holds of the objects that a limit counts, and the share of all that is held."""

    entity: Entity
    held: int
    share: float
    evidence: Evidence | None


def use_of(scene: Scene, name: str, uid: int | None = None) -> LimitUse:
    """The use of a limit: of this user if it has samples of its own, else of all together."""
    series = scene.series("limit")
    return LimitUse(series.get((name, uid)) or series.get((name, None), ()))


def largest_holder(scene: Scene, limit: KernelLimit, uid: int | None, use: LimitUse) -> Holding | None:
    """Who holds most of what a limit counts; None where nobody holds much of it, or nothing tells.

    Samples show a part of the holders. All that is in use is at least what they hold together, and more where the
    use of the limit is known; without it, open files are taken for a lot from :data:`MANY_FILES` on.
    """
    kind, metric = ("process", "fds") if limit.name == OPEN_FILES else ("limit_holder", "held")
    last: dict[int, Row] = {}
    for row in scene.rows(kind):
        named = kind == "process" or row["limit_name"] == limit.name
        if named and row[metric] and (uid is None or row["uid"] in {None, uid}):
            last[row["pid"]] = row
    if not last:
        return None
    row = max(last.values(), key=lambda row: (row[metric], -row["pid"]))
    in_use = max(sum(row[metric] for row in last.values()), (use.fullest["used"] or 0) if use.rows else 0)
    share = row[metric] / in_use
    if share < HOLDS_MUCH or (limit.name == OPEN_FILES and not use.rows and row[metric] < MANY_FILES):
        return None
    entity = Entity("process", str(row["pid"]), str(row["comm"] or "?"))
    return Holding(entity, row[metric], share, scene.evidence(kind, [row], metric, "last"))


def uid_of(scene: Scene, pid: int) -> int | None:
    """The user of a process; None where no sample tells."""
    known = scene.once(processes).get(pid)
    return known.samples[-1]["uid"] if known and known.samples else None


def near_own_limit(scene: Scene, pid: int) -> bool | None:
    """Whether a process had nearly all the descriptors open that it may have; None where that is not known."""
    known = scene.once(processes).get(pid)
    rows = [row for row in known.samples if row["fds"] is not None and row["fd_limit"]] if known else []
    if not rows:
        return None
    return any(row["fds"] >= NEAR_SHARE * row["fd_limit"] for row in rows)
