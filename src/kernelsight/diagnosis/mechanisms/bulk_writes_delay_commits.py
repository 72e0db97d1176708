"""Commits (fsync and its like) that wait until the dirty pages of another program are written."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass

from kernelsight.diagnosis.devices import devices
from kernelsight.diagnosis.faults.fsync_stall import FSYNC_STALL
from kernelsight.diagnosis.fsync_stalls import Stall, stalls
from kernelsight.diagnosis.identity import ProgramId
from kernelsight.diagnosis.mechanism import Check, Explanation, Mechanism, Prior, claim, path
from kernelsight.diagnosis.model import Entity, Evidence, Proposal, Step
from kernelsight.diagnosis.phrases import of_every_second
from kernelsight.diagnosis.remedies import LIMIT_IO, MACHINE, SET_SYSCTL
from kernelsight.diagnosis.slow_devices import slow_devices
from kernelsight.diagnosis.storage import User, Waiter, shown_waits, users
from kernelsight.diagnosis.threshold import Threshold
from kernelsight.diagnosis.window import Interval, Window
from kernelsight.quantities import quantity

MOST_SHARE = Threshold(0.5, "share of all that is written", because="calculated: more than all other programs together")
_DIRTY_BACKGROUND_BYTES = 64 << 20
"""Judged: a disk of 100 MB/s writes so much in less than a second, and the usual tenth of the memory in many."""


@dataclass(frozen=True, slots=True)
class DelayedCommits:
    """A program that writes in bulk in a stretch of seconds in which commits of others took long."""

    run: Interval
    by: User
    """The program that writes."""
    culprit: Entity
    """Its largest process."""
    written: float
    """Bytes that it wrote."""
    written_by_all: float
    """Bytes that all programs wrote."""
    dirty: Evidence | None
    """What of its data lay in the page cache; None where none did."""
    a_device_is_slow: bool
    """Whether some device took long for each request at the same time."""
    victims: Sequence[Waiter]
    """Processes whose commits took long."""
    worst: Waiter
    """The one of them that waited longest for its commits."""
    before_s: float
    """What a wait of its commits took before; 0 where that is not known."""


def measure(window: Window) -> Iterable[DelayedCommits]:
    """Each program that writes in bulk while commits of others take long, in the stretch in which they wait longest."""
    worst: dict[ProgramId, Stall] = {}
    for stall in window.once(stalls):
        known = worst.get(stall.by.program)
        if known is None or stall.waiter.commits_in(stall.run) > known.waiter.commits_in(known.run):
            worst[stall.by.program] = stall
    for stall in worst.values():
        yield _delayed_commits(window, stall)


def _delayed_commits(window: Window, stall: Stall) -> DelayedCommits:
    run, by = stall.run, stall.by
    slow = (stretch for stretches in window.once(slow_devices).values() for stretch in stretches)
    return DelayedCommits(
        run,
        by,
        culprit=by.largest(window, run),
        written=by.written_in(run),
        written_by_all=sum(user.written_in(run) for user in window.once(users)),
        dirty=stall.dirty,
        a_device_is_slow=any(stretch.overlaps(run) for stretch in slow),
        victims=[other.waiter for other in window.once(stalls) if other.by is by and other.run.overlaps(run)],
        worst=stall.waiter,
        before_s=stall.waiter.commit_s(run.before),
    )


def explain(window: Window, suspect: DelayedCommits) -> Explanation:
    """A commit of one process waits for the pages that the program has dirtied on the same file system."""
    run, culprit = suspect.run, suspect.culprit
    return Explanation(
        culprit=culprit,
        onset_ns=window.at(run.first),
        victims=tuple(waiter.entity for waiter in suspect.victims[:5]),
        does=f"writes {quantity(suspect.written / run.seconds, 'B/s')} through the page cache",
        harm=f"waits {of_every_second(suspect.victims[0].commits_in(run), run.seconds)} for its commits (fsync)"
        if suspect.victims
        else "",
        suffering_s=sum(waiter.commits_in(run) for waiter in suspect.victims),
        path=path(
            *(_wait_claim(window, suspect, waiter) for waiter in suspect.victims[:3]),
            claim("dirty pages waited for writeback", suspect.dirty),
            claim(
                f"{culprit.name} wrote {quantity(suspect.written / run.seconds, 'B/s')}",
                *suspect.by.shown_writes(window, run),
            ),
        ),
        refuted_by=f"commits (fsync) take as long when {culprit.name} does not write",
        outlook=f"commits (fsync) take long while {culprit.name} writes",
        actions=(*_slower(window, suspect), _smaller()),
    )


def _slower(window: Window, suspect: DelayedCommits) -> Iterator[Proposal]:
    """A limit on the disk to which most is written meanwhile, where the disks are recorded."""
    written = {device.name: device.load(suspect.run).write_bytes for device in window.once(devices).values()}
    disk = max(written, key=lambda name: written[name], default=None)
    if disk is not None and written[disk]:
        text = f"limit what the control group of {suspect.culprit.name} may write to {disk}"
        yield LIMIT_IO.on(suspect.culprit, text, device=disk)


def _smaller() -> Proposal:
    return SET_SYSCTL.on(
        MACHINE,
        f"write dirty pages back from {quantity(_DIRTY_BACKGROUND_BYTES, 'B')} on, so that less is written at a time",
        name="vm.dirty_background_bytes",
        value=_DIRTY_BACKGROUND_BYTES,
    )


def _wait_claim(window: Window, suspect: DelayedCommits, waiter: Waiter) -> Step | None:
    run = suspect.run
    before = f", {1e3 * suspect.before_s:.0f} ms before" if suspect.before_s and waiter is suspect.worst else ""
    return claim(
        f"{waiter.comm} ({waiter.pid}) waited {waiter.commits_in(run):.1f} s of {run.seconds} s for commits (fsync), "
        f"{1e3 * waiter.commit_s(run):.0f} ms each time{before}",
        shown_waits(window, waiter, run, commits=True),
    )


MECHANISM = Mechanism[DelayedCommits](
    fault=FSYNC_STALL,
    summary="A program writes in bulk through the page cache, and commits of others wait until that is on the disk.",
    measure=measure,
    prior=Prior(
        3.0,
        because="judged: only a program that writes ten times as much as another one whose commits take three times as "
        "long as before, and longer than an idle disk needs, is a suspect; both seldom coincide by chance",
    ),
    checks=(
        Check(
            id="writes_most",
            says="it writes most of all that is written",
            holds=lambda suspect: suspect.written >= MOST_SHARE * suspect.written_by_all,
            supports=1.0,
            refutes=2.0,
            because="judged: a commit waits for the pages of all programs; one that writes less than half of them "
            "delays it less than the others do",
        ),
        Check(
            id="lies_in_the_page_cache",
            says="what it writes lies in the page cache",
            holds=lambda suspect: suspect.dirty is not None,
            supports=1.0,
            refutes=2.5,
            because="judged: a commit waits for dirty pages of its file system "
            "(Documentation/filesystems/ext4/journal.rst, data=ordered); what is written directly only keeps the disk "
            "busy: `disk_saturation`",
        ),
        Check(
            id="no_device_is_slow",
            says="no device is slow by itself",
            holds=lambda suspect: not suspect.a_device_is_slow,
            supports=0.5,
            refutes=3.0,
            because="judged: on a slow device commits take long, whatever is written: `disk_latency`",
        ),
    ),
    explain=explain,
)
