"""Space and inodes of file systems: used up, or about to be."""

from __future__ import annotations

import errno
from collections.abc import Iterable, Sequence

from kernelsight.diagnosis.errors import Failures, failures
from kernelsight.diagnosis.hypothesis import Candidate, hypothesis
from kernelsight.diagnosis.model import Entity, Evidence, Proposal
from kernelsight.diagnosis.scene import Row, Run, Scene, grouped
from kernelsight.diagnosis.trend import Trend, trend

NO_SPACE = frozenset({errno.ENOSPC, errno.EDQUOT})
FULL_SHARE = 0.01
"""Of a file system, what may be left when it is called full."""
FORESIGHT = 4.0
"""How many times as long as it has been seen, a trend may be expected to go on."""
_FILLS_S = 600.0


@hypothesis("disk_full")
def no_space_left(scene: Scene) -> Iterable[Candidate]:
    """A file system has no space left, or will not have soon."""
    for rows in _mounts(scene):
        size = rows[-1]["size_bytes"]
        if size:
            yield from _of_mount(scene, rows, ("avail_bytes", float(size)))


@hypothesis("inode_exhaustion")
def no_inodes_left(scene: Scene) -> Iterable[Candidate]:
    """A file system has no inodes left, or will not have soon, while there is space."""
    for rows in _mounts(scene):
        inodes = rows[-1]["inodes_total"]
        if inodes:
            yield from _of_mount(scene, rows, ("inodes_free", float(inodes)))


def _mounts(scene: Scene) -> Iterable[Sequence[Row]]:
    """The samples of each file system that can be written to; of one that is mounted twice, only the first."""
    seen: set[tuple[object, ...]] = set()
    for rows in grouped(scene.rows("filesystem"), "mount_point").values():
        last = rows[-1]
        same = (last["device"], last["fs_type"], last["size_bytes"], last["avail_bytes"], last["inodes_free"])
        if not last["read_only"] and same not in seen:
            seen.add(same)
            yield rows


def _of_mount(scene: Scene, rows: Sequence[Row], what: tuple[str, float]) -> Iterable[Candidate]:
    metric, whole = what
    last = rows[-1][metric]
    if last is None:
        return
    left = float(last)
    mount = str(rows[-1]["mount_point"])
    going = trend(rows, metric, up=False)
    until = going.seconds_to(0.0) if going else None
    full = left <= FULL_SHARE * whole
    soon = going is not None and until is not None and until <= min(FORESIGHT * going.seconds, _FILLS_S)
    failed = failures(scene, NO_SPACE)
    if not soon and not (full and (going or failed)):
        return
    run = _run(scene, rows, going)
    by = _who_fills(scene, run, failed, inodes=metric == "inodes_free")
    culprit = by.entity if by else Entity("mount", mount, mount)
    candidate = Candidate("disk_full" if metric == "avail_bytes" else "inode_exhaustion", culprit, scene.at(run.first))
    candidate.victims = tuple(one.entity for one in failed if by is None or one.entity != by.entity)[:5]
    candidate.check(f"{mount} has next to nothing left, or loses it fast", full or soon, 2.0, 5.0)
    candidate.check("calls fail for want of it, or it is used up at a steady rate", bool(failed) or soon, 1.5, 3.0)
    candidate.check("who uses it up is known", by is not None, 1.0, 0.5)
    noun = "bytes" if metric == "avail_bytes" else "inodes"
    for one in failed[:3]:
        candidate.step(f"{one.count} calls of {one.entity.name} failed with {one.error}", one.evidence)
    within = scene.within(rows, run)
    ahead = f", and none will be left in {until:.0f} s" if until is not None and not full else ""
    claim = f"of {mount} {left:,.0f} of {whole:,.0f} {noun} are left{ahead}"
    candidate.step(claim, scene.evidence("filesystem", within or rows[-1:], metric, "last"))
    if by:
        candidate.step(by.claim, by.evidence)
    candidate.refuted_by = f"{noun} of {mount} do not come back when what {culprit.name} wrote is removed"
    candidate.outlook = "every program that writes there fails"
    candidate.actions = (Proposal("look", culprit, f"make room on {mount}: see what {culprit.name} writes there"),)
    yield candidate


def _run(scene: Scene, rows: Sequence[Row], going: Trend | None) -> Run:
    first = scene.second(going.rows[0]) if going else scene.second(rows[-1])
    return Run(first, scene.second(rows[-1]))


class _Filler:
    """Who uses space up, and what shows it."""

    def __init__(self, entity: Entity, claim: str, evidence: Evidence | None) -> None:
        self.entity, self.claim, self.evidence = entity, claim, evidence


def _who_fills(scene: Scene, run: Run, failed: Sequence[Failures], *, inodes: bool) -> _Filler | None:
    """The process that wrote most while it became less; of inodes, who asks for more, or was in the kernel most."""
    if inodes and failed:
        return _Filler(failed[0].entity, f"{failed[0].entity.name} asks for more again and again", failed[0].evidence)
    metric = "stime_ms" if inodes else "write_chars"
    best: tuple[float, Row] | None = None
    for changes in scene.changes("process").values():
        within = [change for change in changes if run.first <= scene.second(change.after) <= run.last + 1]
        grown = sum(change.of(metric) for change in within)
        if within and grown > 0 and (best is None or grown > best[0]) and not _is_ours(within[-1].after):
            best = grown, within[-1].after
    if best is None:
        return (
            _Filler(failed[0].entity, f"{failed[0].entity.name} asked for it", failed[0].evidence) if failed else None
        )
    row = best[1]
    rows = [
        one for one in scene.rows("process") if (one["pid"], one["start_ticks"]) == (row["pid"], row["start_ticks"])
    ]
    evidence = scene.evidence("process", rows, metric, "increase")
    much = f"{best[0]:,.0f} bytes" if not inodes else f"{best[0]:,.0f} ms in the kernel"
    return _Filler(
        Entity("process", str(row["pid"]), str(row["comm"])), f"meanwhile {row['comm']} wrote {much}", evidence
    )


def _is_ours(row: Row) -> bool:
    return bool(row["comm"] == "kernelsight")
