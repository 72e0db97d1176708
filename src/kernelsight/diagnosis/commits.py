"""Commits that take long beside what others write through the page cache.

With ordered data (Documentation/filesystems/ext4/journal.rst) a commit writes what all transactions of the file system
have dirtied, so whoever asks for one waits for everybody's pages.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from kernelsight.diagnosis.devices import devices
from kernelsight.diagnosis.model import Evidence
from kernelsight.diagnosis.scene import Run, Scene, runs
from kernelsight.diagnosis.seconds import telling
from kernelsight.diagnosis.storage import SLOWED, User, Waiter, is_of, users, waiters, waiters_by_program
from kernelsight.events.memory import Memory

COMMIT_S = 0.0042
"""What one of the waits of a commit (for its data, the journal, the flush) must take to hurt: half a turn of a disk."""
BULK = 10.0
"""How many times as much as who commits another one must write, for its data to be what the commit waits for."""
ALIKE_SHARE = 0.3
"""Of what the largest writer writes, the share from which on another one may be it as well."""
ON_DEVICE_SHARE = 0.3
"""Of what somebody writes, what the device of the commits must have written meanwhile: the rest may still lie dirty."""
_LEAST_S = 2
_LEAST_BEFORE_S = 3
"""Seconds of commits that say how long one usually takes: a stall may begin with a second that is not bad yet."""
_GAP_S = 3
"""Seconds without the end of a commit that are no end of a stall: one that takes long is seen when it is over."""
WRITES_SHARE = 0.1
"""Of the most that somebody writes in a second, what counts as writing at all."""
DIRTY_SHARE = 0.03
"""Of what somebody writes in a second, what must lie in the page cache: written directly, it never does."""


@dataclass(frozen=True, slots=True)
class Stall:
    """Commits that take long while another program writes in bulk through the page cache."""

    run: Run
    waiter: Waiter
    by: User
    dirty: Evidence | None
    """What of the other one's data lay in the page cache; None where none did."""


def stalls(scene: Scene) -> Sequence[Stall]:
    """Every process whose commits take long, with who writes most beside it, in bulk; use with :meth:`Scene.once`."""
    found: list[Stall] = []
    for waiter in scene.once(waiters).values():
        each = {
            second: waited / waiter.commits_counted.of(second)
            for second, waited in waiter.commits.items()
            if waiter.commits_counted.of(second)
        }
        for run in telling(runs(each, lambda mean: mean >= COMMIT_S, gap=_GAP_S)):
            by = _who_dirties(scene, waiter, run)
            if by is not None:
                found += _while_writing(scene, waiter, by, run)
    return found


def _while_writing(scene: Scene, waiter: Waiter, by: User, run: Run) -> Iterator[Stall]:
    """The part of a stretch in which the other one writes, if commits take longer in it than before."""
    most = max(by.written.of(second) for second in range(run.first, run.last + 1))
    writes = [s for s in range(run.first, run.last + 1) if by.written.of(s) >= WRITES_SHARE * most]
    part = Run(writes[0], run.last)
    if part.seconds < _LEAST_S or not waiter.is_slowed(part):
        return
    if waiter.commit_s(part) >= SLOWED * _usual_s(waiter, part.first - 2):
        yield Stall(part, waiter, by, lying_dirty(scene, by, part))


def _usual_s(waiter: Waiter, last: int) -> float:
    """How long a commit took up to a second; 0 where too little is known, as where the stall was there before us."""
    known = sum(1 for second in range(last + 1) if waiter.commits_counted.of(second))
    return waiter.commit_s(Run(0, last)) if known >= _LEAST_BEFORE_S else 0.0


def _who_dirties(scene: Scene, waiter: Waiter, run: Run) -> User | None:
    """Who writes most beside a process that commits, if it is much and can have gone to the same device.

    Of several who write about as much, the one that waits for the same journal: a program that serves a
    disk (of a virtual machine, of FUSE) writes on again what its users have written.
    """
    everybody = scene.once(users)
    others = [user for user in everybody if user.program != waiter.program]
    most = max((user.written_in(run) for user in others), default=0.0)
    large = [user for user in others if user.written_in(run) >= ALIKE_SHARE * most]
    by = max(large, key=lambda user: (_shares_journal(scene, user, waiter), user.written_in(run)), default=None)
    own = sum(user.written_in(run) for user in everybody if user.program == waiter.program)
    if by is None or by.written_in(run) < BULK * own or by.read_in(run) > by.written_in(run):
        return None
    journals = waiter.journals
    written = [
        device.load(run).write_bytes
        for device in scene.once(devices).values()
        if not journals or any(is_of(journal, device.name) for journal in journals)
    ]
    return by if max(written, default=0.0) >= max(ON_DEVICE_SHARE * by.written_in(run), 1.0) else None


def _shares_journal(scene: Scene, user: User, waiter: Waiter) -> bool:
    return any(one.journals & waiter.journals for one in scene.once(waiters_by_program).get(user.program, ()))


def lying_dirty(scene: Scene, by: User, run: Run) -> Evidence | None:
    """The rows that show how much lay in the page cache to be written, if it was a good part of what one wrote."""
    rows = scene.within(scene.rows(Memory), run)
    shown = [scene.evidence(rows, metric, "max") for metric in (Memory.dirty_kb, Memory.writeback_kb)]
    largest = max((one for one in shown if one), key=lambda one: one.value, default=None)
    least = DIRTY_SHARE * by.written_in(run) / run.seconds
    return largest if largest is not None and 1024 * largest.value >= least else None
