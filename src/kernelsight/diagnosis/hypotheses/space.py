"""Space and inodes of file systems: used up, or about to be."""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from itertools import pairwise

from kernelsight.diagnosis.candidate import Candidate
from kernelsight.diagnosis.errors import Failures
from kernelsight.diagnosis.hypothesis import hypothesis
from kernelsight.diagnosis.model import Entity, Evidence, Proposal
from kernelsight.diagnosis.mounts import FULL_SHARE, QUOTA, failing, full_mounts, mount_of, mounts, no_space
from kernelsight.diagnosis.processes import named, processes
from kernelsight.diagnosis.scene import CounterDelta, Run, Scene, samples_of
from kernelsight.diagnosis.trend import Trend, trend
from kernelsight.events.filesystem import Filesystem
from kernelsight.events.process import Process
from kernelsight.quantities import quantity

FORESIGHT = 4.0
"""How many times as long as it has been seen, a trend may be expected to go on."""
_FILLS_S = 600.0
ENOUGH_SHARE = 0.3
"""Of what was lost, what one process must have written to be who did it; others may have written the rest."""
MOST = 0.5
"""Of the calls that fail, those of one process, from which on it is the one that fails, and not the many of a loop."""
_GIVEN_BACK = 0.5


@hypothesis("disk_full")
def no_space_left(scene: Scene) -> Iterable[Candidate]:
    """A file system has no space left, or will not have soon, or a quota is used up."""
    short = [*scene.once(full_mounts)]
    for rows in scene.once(mounts):
        size = rows[-1].size_bytes
        if size:
            for candidate in _of_mount(scene, rows, ("avail_bytes", float(size))):
                short.append(rows)
                yield candidate
    yield from (_of_nowhere(scene, one) for one in scene.once(no_space) if not _is_explained(one, short))


def _is_explained(failed: Failures, short: Sequence[Sequence[Filesystem]]) -> bool:
    """Whether calls failed because of one of the file systems that are full, or about to be."""
    numbers = {rows[-1].device_number for rows in short}
    if failed.error == QUOTA:
        return False
    return bool(numbers) if failed.device_number is None or None in numbers else failed.device_number in numbers


def _of_nowhere(scene: Scene, failed: Failures) -> Candidate:
    """A quota, or a file system that is not seen from here or has space left."""
    culprit, mount = failed.entity, mount_of(scene, failed)
    quota = failed.error == QUOTA
    place = f" on {mount}" if mount else f" on a file system {failed.device_number}" if failed.device_number else ""
    unknown = "" if place else "; on which file system is not known"
    candidate = Candidate("disk_full", culprit, failed.first_ns, (culprit,))
    candidate.check("calls that write fail for want of space", holds=True, speaks_for=2.0, speaks_against=4.0)
    candidate.check("it is known what is used up", quota, 1.0, 0.5)
    candidate.step(
        f"{failed.count} calls of {culprit.name} failed with {failed.error}{place}{unknown}", failed.evidence
    )
    candidate.refuted_by = "they fail as well when some of its files are removed"
    candidate.outlook = f"{culprit.name} can write nothing{place}"
    what = "its quota is used up: raise it (setquota), or remove files" if quota else "see where it writes to"
    candidate.actions = (Proposal("look", culprit, what),)
    return candidate


@hypothesis("inode_exhaustion")
def no_inodes_left(scene: Scene) -> Iterable[Candidate]:
    """A file system has no inodes left, or will not have soon, while there is space."""
    for rows in scene.once(mounts):
        inodes = rows[-1].inodes_total
        if inodes:
            yield from _of_mount(scene, rows, ("inodes_free", float(inodes)))


def _of_mount(scene: Scene, rows: Sequence[Filesystem], what: tuple[str, float]) -> Iterable[Candidate]:
    metric, whole = what
    last = rows[-1][metric]
    if last is None:
        return
    left = float(last)
    mount = str(rows[-1].mount_point)
    going = trend(rows, metric, up=False)
    until = going.seconds_to(0.0) if going else None
    full = left <= FULL_SHARE * whole
    soon = (
        going is not None
        and until is not None
        and until <= min(FORESIGHT * going.seconds, _FILLS_S)
        and not going.has_stopped
    )
    failures_seen = failing(scene, rows)
    failed = failures_seen.here
    nothing = left <= 0
    if not soon and not nothing and not (full and (going or failed or failures_seen.somewhere)):
        return
    run = _run(scene, rows, what, going)
    levels = [float(row[metric]) for row in scene.within(rows, run) if row[metric] is not None]
    lost = max(levels, default=left) - left
    if lost > 0 or metric == "inodes_free":
        by = _who_fills(scene, run, failed, lost, inodes=metric == "inodes_free")
    else:
        by = _who_filled(scene, failed, whole - left)
    culprit = by.entity if by else Entity("mount", mount, mount)
    candidate = Candidate("disk_full" if metric == "avail_bytes" else "inode_exhaustion", culprit, scene.at(run.first))
    candidate.victims = tuple(one.entity for one in failed if by is None or one.entity != by.entity)[:5]
    candidate.check(f"{mount} has next to nothing left, or loses it fast", full or soon, 2.0, 5.0)
    candidate.check("what is used up was not given back before", not _comes_back(rows, metric, going), 0.0, 4.0)
    steady = "calls fail for want of it, or it is used up at a steady rate"
    fails = bool(failed or failures_seen.somewhere)
    candidate.check(steady, fails or soon, 1.5 if failed else 0.5, 1.0 if nothing else 3.0)
    if nothing and not fails:  # who comes next fails, though nobody tries just now
        candidate.check("there is nothing left at all", nothing, 1.0, 0.0)
    candidate.check("who uses it up is known", by is not None, 1.0, 0.5)
    unit = "B" if metric == "avail_bytes" else "inodes"
    for one in (*failed[:3], *failures_seen.somewhere[:3]):
        place = "" if one.device_number else "; on which file system is not known"
        candidate.step(f"{one.count} calls of {one.entity.name} failed with {one.error}{place}", one.evidence)
    within = scene.within(rows, run)
    ahead = f", and none will be left in {until:.0f} s" if until is not None and not full else ""
    claim = f"of {mount} {quantity(left, unit)} of {quantity(whole, unit)} are left{ahead}"
    candidate.step(claim, scene.evidence(within or rows[-1:], metric, "last"))
    if by:
        candidate.step(by.claim, by.evidence)
    candidate.refuted_by = (
        f"{'bytes' if unit == 'B' else unit} of {mount} do not come back when what {culprit.name} wrote is removed"
    )
    candidate.outlook = "every program that writes there fails"
    candidate.actions = (Proposal("look", culprit, f"make room on {mount}: see what {culprit.name} writes there"),)
    yield candidate


def _run(scene: Scene, rows: Sequence[Filesystem], what: tuple[str, float], going: Trend | None) -> Run:
    """From when it is used up, or since when there has been as little as now."""
    metric, whole = what
    since = going.rows[0] if going else rows[-1]
    if not going:
        for row in reversed(rows):
            if row[metric] is None or row[metric] > FULL_SHARE * whole:
                break
            since = row
    return Run(scene.second(since), scene.second(rows[-1]))


def _comes_back(rows: Sequence[Filesystem], metric: str, going: Trend | None) -> bool:
    """Whether as much as is being used up now was given back earlier in the window, as by who replaces a file."""
    if going is None:
        return False
    levels = [float(row[metric]) for row in rows if row[metric] is not None]
    returned = sum(max(0.0, after - before) for before, after in pairwise(levels))
    return returned >= _GIVEN_BACK * (going.first - going.last)


@dataclass(frozen=True, slots=True)
class _Filler:
    """Who uses space up, and what shows it."""

    entity: Entity
    claim: str
    evidence: Evidence | None


def _who_filled(scene: Scene, failed: Sequence[Failures], used: float) -> _Filler | None:
    """Who filled what was full all the time: nobody is seen to, but who wants more may have written that much so far.

    A counter of a process begins with it, and has what the children wrote that it waited for.
    """
    failing = {one.entity.id for one in failed}
    found = []
    for (pid, _), rows in scene.series(Process).items():
        written = float(rows[-1].write_chars or 0)
        if str(pid) in failing and written >= ENOUGH_SHARE * used:
            found.append((written, rows))
    if not found:
        return None
    written, rows = max(found, key=lambda one: one[0])
    last = rows[-1]
    evidence = scene.evidence(rows[-1:], Process.write_chars, "last")
    return _Filler(
        named(scene, last.pid or 0),
        f"{last.comm} asks for more, and has written {quantity(written, 'B')} so far",
        evidence,
    )


def _who_starts(scene: Scene, failed: Sequence[Failures]) -> Entity | None:
    """Who starts those whose calls fail, where that is one program after the other, as in the loop of a script."""
    known = scene.once(processes)
    pids = [int(one.entity.id) for one in failed]
    parents = Counter(known[pid].parent for pid in pids if pid in known)
    del parents[None]
    parent, children = parents.most_common(1)[0] if parents else (None, 0)
    one_by_one = children > 1 and max(one.count for one in failed) < MOST * sum(one.count for one in failed)
    return named(scene, parent) if parent and parent > 1 and one_by_one else None


def _who_fills(scene: Scene, run: Run, failed: Sequence[Failures], lost: float, *, inodes: bool) -> _Filler | None:
    """Who used it up: of inodes, who asks for more, or was in the kernel most.

    Of space, whose writing comes nearest to what was lost, those first whose calls fail; so neither a
    large copy to somewhere else nor one through a pipe is taken for it.
    """
    asks = [_Filler(one.entity, f"{one.entity.name} asks for more again and again", one.evidence) for one in failed]
    if inodes and asks:
        starter = _who_starts(scene, failed)
        return asks[0] if starter is None else _Filler(starter, f"{starter.name} starts them", asks[0].evidence)
    if lost <= 0:
        return None
    metric = "stime_ms" if inodes else "write_chars"
    failing = {one.entity.id for one in failed}
    best: tuple[bool, float, float, list[CounterDelta[Process]]] | None = None
    for (pid, _), changes in scene.deltas(Process).items():
        within = [change for change in changes if run.first <= scene.second(change.after) <= run.last + 1]
        grown = sum(change.of(metric) for change in within)
        if grown <= 0:
            continue
        near = grown if inodes else -abs(math.log(grown / lost))
        likely = str(pid) in failing and grown >= ENOUGH_SHARE * lost
        if best is None or (likely, near) > best[:2]:
            best = likely, near, grown, within
    if best is None or (not inodes and best[2] < ENOUGH_SHARE * lost):
        return asks[0] if asks else None
    within = best[3]
    last = within[-1].after
    evidence = scene.evidence(samples_of(within), metric, "increase")
    much = f"was {quantity(best[2], 'ms')} in the kernel" if inodes else f"wrote {quantity(best[2], 'B')}"
    return _Filler(named(scene, last.pid or 0), f"meanwhile {last.comm} {much}", evidence)
