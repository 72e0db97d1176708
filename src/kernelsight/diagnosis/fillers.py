"""Who uses up the space or the inodes of a file system, and what shows it."""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from kernelsight.diagnosis.errors import Failures
from kernelsight.diagnosis.model import Entity, Evidence
from kernelsight.diagnosis.processes import named, processes
from kernelsight.diagnosis.threshold import Threshold
from kernelsight.diagnosis.window import CounterDelta, Interval, Window, samples_of
from kernelsight.events.process import Process
from kernelsight.quantities import quantity

ENOUGH_SHARE = Threshold(
    0.3,
    "share of what was lost",
    because="judged: a process that wrote so much is the one that fills it; others may have written the rest",
)
MOST_SHARE = Threshold(
    0.5,
    "share of the calls that fail",
    because="judged: a process with as many of them fails by itself, and is not one of the many that a loop starts",
)


@dataclass(frozen=True, slots=True)
class Filler:
    """Who uses a file system up, and what shows it."""

    entity: Entity
    claim: str
    evidence: Evidence | None


def who_filled(window: Window, failed: Sequence[Failures], used: float) -> Filler | None:
    """Who filled what was full all the time: a process that asks for more and has written as much so far.

    A counter of a process begins with it, and has what the children wrote that it waited for.
    """
    failing = {failures.entity.id for failures in failed}
    writers = []
    for (pid, _), rows in window.series(Process).items():
        written = float(rows[-1].write_chars or 0)
        if str(pid) in failing and written >= ENOUGH_SHARE * used:
            writers.append((written, rows))
    if not writers:
        return None
    written, rows = max(writers, key=lambda writer: writer[0])
    last = rows[-1]
    return Filler(
        named(window, last.pid or 0),
        f"{last.comm} asks for more, and has written {quantity(written, 'B')} so far",
        window.evidence(rows[-1:], Process.write_chars, "last"),
    )


def who_takes_inodes(window: Window, run: Interval, failed: Sequence[Failures], lost: float) -> Filler | None:
    """Who takes the inodes: a process that asks for more, or starts those that do; else who was in the kernel most."""
    if failed:
        [asks, *_] = _asking(failed)
        starter = _starter(window, failed)
        return Filler(starter, f"{starter.name} starts them", asks.evidence) if starter else asks
    if lost <= 0:
        return None
    spent = [(sum(delta.of(Process.stime_ms) for delta in deltas), deltas) for _, deltas in _meanwhile(window, run)]
    ms, deltas = max(spent, key=lambda process: process[0], default=(0.0, ()))
    if ms <= 0:
        return None
    return Filler(
        named(window, deltas[-1].after.pid or 0),
        f"meanwhile {deltas[-1].after.comm} spent {quantity(ms, 'ms')} in the kernel",
        window.evidence(samples_of(deltas), Process.stime_ms, "increase"),
    )


def who_takes_space(window: Window, run: Interval, failed: Sequence[Failures], lost: float) -> Filler | None:
    """Who takes the space: the process that wrote nearest to what was lost; first of those whose calls fail.

    A large copy to another file system, or through a pipe, is not taken for it.
    """
    if lost <= 0:
        return None
    failing = {failures.entity.id for failures in failed}
    best: tuple[bool, float, float, Sequence[CounterDelta[Process]]] | None = None
    for pid, deltas in _meanwhile(window, run):
        written = sum(delta.of(Process.write_chars) for delta in deltas)
        if written <= 0:
            continue
        near = -abs(math.log(written / lost))
        likely = str(pid) in failing and written >= ENOUGH_SHARE * lost
        if best is None or (likely, near) > best[:2]:
            best = likely, near, written, deltas
    if best is None or best[2] < ENOUGH_SHARE * lost:
        return _asking(failed)[0] if failed else None
    _, _, written, deltas = best
    return Filler(
        named(window, deltas[-1].after.pid or 0),
        f"meanwhile {deltas[-1].after.comm} wrote {quantity(written, 'B')}",
        window.evidence(samples_of(deltas), Process.write_chars, "increase"),
    )


def _asking(failed: Sequence[Failures]) -> list[Filler]:
    return [
        Filler(failures.entity, f"{failures.entity.name} asks for more again and again", failures.evidence)
        for failures in failed
    ]


def _meanwhile(window: Window, run: Interval) -> Iterator[tuple[int, Sequence[CounterDelta[Process]]]]:
    """What each process did in a stretch, and in the second after it, in which a sample may still tell of it."""
    for (pid, _), deltas in window.deltas(Process).items():
        within = [delta for delta in deltas if run.first <= window.second(delta.after) <= run.last + 1]
        if within:
            yield pid, within


def _starter(window: Window, failed: Sequence[Failures]) -> Entity | None:
    """Who starts those whose calls fail, where that is one program after the other, as in the loop of a script."""
    known = window.once(processes)
    pids = [int(failures.entity.id) for failures in failed]
    parents = Counter(known[pid].parent for pid in pids if pid in known)
    del parents[None]
    parent, children = parents.most_common(1)[0] if parents else (None, 0)
    most, total = max(failures.count for failures in failed), sum(failures.count for failures in failed)
    one_by_one = children > 1 and most < MOST_SHARE * total
    return named(window, parent) if parent and parent > 1 and one_by_one else None
