"""Space or inodes of a file system that are used up, or will be soon: how they are measured and judged."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import pairwise

from kernelsight.diagnosis.errors import Failures
from kernelsight.diagnosis.exhaustible import SPACE, Exhaustible
from kernelsight.diagnosis.fillers import Filler, who_filled, who_takes_inodes, who_takes_space
from kernelsight.diagnosis.mechanism import Check, Explanation, Prior, claim, path
from kernelsight.diagnosis.model import Entity
from kernelsight.diagnosis.mounts import FULL_SHARE, failing, is_full, mounts
from kernelsight.diagnosis.remedies import LOOK
from kernelsight.diagnosis.threshold import Threshold
from kernelsight.diagnosis.trend import Trend, trend
from kernelsight.diagnosis.window import Interval, Window
from kernelsight.events.fields import getter
from kernelsight.events.filesystem import Filesystem
from kernelsight.quantities import quantity

GIVEN_BACK_SHARE = Threshold(
    0.5,
    "share of what is being used up",
    because="judged: a program that replaces a file, or works with temporary ones, gives back most of what it takes",
)
_MOST_SHOWN = 3
_MOST_VICTIMS = 5


@dataclass(frozen=True, slots=True)
class MountUse:
    """What is left of the space or of the inodes of a file system, and who uses it up."""

    mount: str
    """Where it is mounted."""
    resource: Exhaustible[Filesystem]
    left: float
    whole: float
    decline: Trend | None
    """If it becomes less at the end of the window."""
    ends_soon: bool
    """Whether nothing will be left soon, if that goes on."""
    is_full: bool
    """Whether next to nothing is left."""
    comes_back: bool
    """Whether as much as is being used up now was given back earlier in the window."""
    failed_here: Sequence[Failures]
    """Calls on it that failed for want of space."""
    failed_somewhere: Sequence[Failures]
    """Calls that failed on it or on another full file system."""
    run: Interval
    """In which it becomes less, or has been as little as now."""
    rows: Sequence[Filesystem]
    """Of that time."""
    filler: Filler | None

    @property
    def is_empty(self) -> bool:
        """Whether nothing at all is left."""
        return self.left <= 0

    @property
    def fails(self) -> bool:
        """Whether calls fail for want of it, as far as is known."""
        return bool(self.failed_here or self.failed_somewhere)

    @property
    def until_s(self) -> float | None:
        """When nothing will be left, if it goes on like this."""
        return self.resource.ends_in_s(self.decline, self.whole)


def mount_uses(window: Window, resource: Exhaustible[Filesystem]) -> Iterator[MountUse]:
    """The file systems of which a resource is used up, or will be soon."""
    for rows in window.once(mounts):
        left, whole = getter(resource.level)(rows[-1]), getter(resource.whole)(rows[-1])
        if whole and left is not None:
            yield from _use(window, rows, resource, float(left), float(whole))


def _use(
    window: Window, rows: Sequence[Filesystem], resource: Exhaustible[Filesystem], left: float, whole: float
) -> Iterator[MountUse]:
    decline = trend(rows, resource.level, up=False)
    ends_soon = resource.ends_soon(decline, whole)
    full = is_full(rows[-1], resource)
    failures = failing(window, rows)
    if not (ends_soon or left <= 0 or (full and (decline or failures.here or failures.somewhere))):
        return
    run = _run(window, rows, resource, decline)
    within = window.within(rows, run)
    level = getter(resource.level)
    yield MountUse(
        mount=str(rows[-1].mount_point),
        resource=resource,
        left=left,
        whole=whole,
        decline=decline,
        ends_soon=ends_soon,
        is_full=full,
        comes_back=decline is not None and _comes_back([*map(level, rows)], decline),
        failed_here=failures.here,
        failed_somewhere=failures.somewhere,
        run=run,
        rows=within or rows[-1:],
        filler=_filler(window, run, failures.here, [*map(level, within)], resource, (left, whole)),
    )


def _filler(  # noqa: PLR0913, PLR0917 - what was lost, when, and whose calls failed
    window: Window,
    run: Interval,
    failed: Sequence[Failures],
    levels: Sequence[int | None],
    resource: Exhaustible[Filesystem],
    now: tuple[float, float],
) -> Filler | None:
    left, whole = now
    lost = max((float(level) for level in levels if level is not None), default=left) - left
    if resource is not SPACE:
        return who_takes_inodes(window, run, failed, lost)
    return who_takes_space(window, run, failed, lost) if lost > 0 else who_filled(window, failed, whole - left)


def _run(
    window: Window, rows: Sequence[Filesystem], resource: Exhaustible[Filesystem], decline: Trend | None
) -> Interval:
    """From when it is used up, or since when there has been as little as now."""
    since = decline.rows[0] if decline else rows[-1]
    if not decline:
        whole = float(getter(resource.whole)(rows[-1]) or 0)
        for row in reversed(rows):
            level = getter(resource.level)(row)
            if level is None or level > FULL_SHARE * whole:
                break
            since = row
    return Interval(window.second(since), window.second(rows[-1]))


def _comes_back(levels: Sequence[int | None], decline: Trend) -> bool:
    known = [float(level) for level in levels if level is not None]
    returned = sum(max(0.0, after - before) for before, after in pairwise(known))
    return returned >= GIVEN_BACK_SHARE * (decline.first - decline.last)


def explanation(window: Window, use: MountUse) -> Explanation:
    """What follows if a resource of a file system is used up."""
    filler, unit = use.filler, "B" if use.resource is SPACE else "inodes"
    culprit = filler.entity if filler else Entity("mount", use.mount, use.mount)
    refused = [failures.entity for failures in use.failed_here]
    shown = [*use.failed_here[:_MOST_SHOWN], *use.failed_somewhere[:_MOST_SHOWN]]
    until_s = None if use.is_full else use.until_s
    ahead = f", none in {quantity(until_s, 's')}" if until_s is not None else ""
    left = f"{quantity(use.left, unit)} of {quantity(use.whole, unit)} left"
    taken = "space" if unit == "B" else "inodes"
    written = f" of {culprit.name}" if filler else ""
    return Explanation(
        culprit=culprit,
        onset_ns=window.at(use.run.first),
        victims=tuple(entity for entity in refused if filler is None or entity != culprit)[:_MOST_VICTIMS],
        does=f"fills {use.mount}" if filler else "is full" if use.is_full else "fills up",
        detail=left + ahead,
        harm="can write nothing there",
        suffering_s=0.0,
        path=path(
            *(claim(_failed(failures), failures.evidence) for failures in shown),
            claim(
                f"{use.mount} has {left}{ahead}",
                window.evidence(use.rows, use.resource.level, "last"),
            ),
            claim(filler.claim, filler.evidence) if filler else None,
        ),
        refuted_by=f"{use.mount} has no more {taken} when files{written} are removed",
        outlook=f"every program that writes to {use.mount} fails",
        actions=(LOOK.on(culprit, f"make room on {use.mount}: see which files{written} take the {taken} there"),),
    )


def _failed(failures: Failures) -> str:
    place = "" if failures.device_number else ". The file system is not known"
    return f"{failures.count} calls of {failures.entity.name} failed with {failures.error}{place}"


ON_ITS_WAY = Prior(
    2.0,
    because="judged: only a file system that has next to nothing left, or loses the rest within minutes, is a suspect",
)
MOUNT_CHECKS: tuple[Check[MountUse], ...] = (
    Check(
        id="gives_nothing_back",
        says="what is used up now was not given back before",
        holds=lambda use: not use.comes_back,
        supports=0.0,
        refutes=4.0,
        because="judged: a program that writes a file anew again and again gives the space of the old one back before "
        "it is used up",
    ),
    Check(
        id="calls_on_it_fail",
        says="calls on {mount} fail for want of it",
        holds=lambda use: bool(use.failed_here),
        supports=1.0,
        refutes=0.0,
        because="judged: the kernel says itself that nothing is left (ENOSPC); on a file system where nobody writes "
        "just now, no call fails",
    ),
    Check(
        id="runs_out_now",
        says="calls fail for want of it, or it is used up at a steady rate",
        holds=lambda use: None if use.is_empty else use.fails or use.ends_soon,
        supports=0.5,
        refutes=3.0,
        because="judged: many file systems are kept nearly full for months, such as images and archives",
    ),
    Check(
        id="ran_out",
        says="calls fail for want of it, or the rest was used up at a steady rate",
        holds=lambda use: use.fails or use.ends_soon if use.is_empty else None,
        supports=0.5,
        refutes=1.0,
        because="judged: where nothing at all is left, the next writer fails; a file system that only one program uses "
        "may be full on purpose",
    ),
    Check(
        id="nothing_is_left",
        says="nothing at all is left, though no call needs it just now",
        holds=lambda use: None if use.fails else use.is_empty,
        supports=1.0,
        refutes=0.0,
        because="judged: the next program that writes fails, though nobody tries just now",
    ),
    Check(
        id="filler_is_known",
        says="it is known who uses it up",
        holds=lambda use: use.filler is not None,
        supports=1.0,
        refutes=0.5,
        because="judged: a process that wrote as much as is missing makes it sure; one that ended leaves no trace",
    ),
)
