"""Commits (fsync and its like) that take long beside what others write through the page cache.

With ordered data (Documentation/filesystems/ext4/journal.rst) a commit writes what all transactions of the file system
have dirtied, so a process that asks for one waits for the pages of all.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass

from kernelsight.diagnosis.devices import devices
from kernelsight.diagnosis.identity import ProgramId
from kernelsight.diagnosis.model import Evidence
from kernelsight.diagnosis.seconds import telling
from kernelsight.diagnosis.storage import SLOWED, User, Waiter, is_of, user_of, users, waiters, waiters_by_program
from kernelsight.diagnosis.threshold import Threshold
from kernelsight.diagnosis.window import Interval, Window, runs
from kernelsight.events.memory import Memory

COMMIT_S = Threshold(
    0.0042,
    "s a wait",
    because="calculated: half a turn of a disk at 7200/min; each wait of a commit (for its data, for the journal, for "
    "the flush) takes no longer on an idle disk",
)
BULK = Threshold(
    10.0,
    "times as many bytes",
    because="judged: a program that writes as much as the committing one delays it no more than that one does itself",
)
ALIKE_SHARE = Threshold(
    0.3,
    "share of what the largest writer writes",
    because="judged: from there on another writer may be the cause as well, and the journal that it waits for decides",
)
ON_DEVICE_SHARE = Threshold(
    0.3,
    "share of what a program writes",
    because="judged: the device of the commits must have written as much meanwhile; the rest may still lie dirty, but "
    "a program that writes to another device delays no commit here",
)
WRITES_SHARE = Threshold(
    0.1,
    "share of the most that a program writes in a second",
    because="judged: less is the end of a burst and no burst",
)
DIRTY_SHARE = Threshold(
    0.03,
    "share of what a program writes in a second",
    because="judged: what is written through the page cache lies there for seconds (vm.dirty_expire_centisecs: 30 s), "
    "what is written directly never does",
)
LEAST_S = Threshold(2, "s", because="judged: within a single second, a few commits that take long are no stall")
BEFORE_S = Threshold(
    3,
    "s with commits",
    because="judged: fewer do not say how long one usually takes: a stall may begin with a second that is not bad yet",
)
GAP_S = Threshold(
    3,
    "s without the end of a commit",
    because="a wait is recorded when it is over, so that a commit of seconds leaves seconds without any",
)


@dataclass(frozen=True, slots=True)
class Stall:
    """Commits that take long while another program writes in bulk through the page cache."""

    run: Interval
    waiter: Waiter
    by: User
    dirty: Evidence | None
    """What of the other program's data lay in the page cache; None where none did."""


def stalls(window: Window) -> Sequence[Stall]:
    """Every process whose commits take long, with the program that writes most beside it, in bulk.

    Use with :meth:`Window.once`.
    """
    known: list[Stall] = []
    for waiter in window.once(waiters).values():
        each = {
            second: waited / waiter.commits_counted.of(second)
            for second, waited in waiter.commits.items()
            if waiter.commits_counted.of(second)
        }
        for run in telling(runs(each, lambda mean: mean >= COMMIT_S, gap=int(GAP_S))):
            by = _who_dirties(window, waiter, run)
            if by is not None:
                known += _while_writing(window, waiter, by, run)
    return known


def _while_writing(window: Window, waiter: Waiter, by: User, run: Interval) -> Iterator[Stall]:
    """The part of a stretch in which the other program writes, if commits take longer in it than before."""
    most = max(by.written.of(second) for second in range(run.first, run.last + 1))
    writes = [second for second in range(run.first, run.last + 1) if by.written.of(second) >= WRITES_SHARE * most]
    part = Interval(writes[0], run.last)
    if part.seconds < LEAST_S or not waiter.is_slowed(part):
        return
    if waiter.commit_s(part) >= SLOWED * _usual_s(waiter, part.first - 2):
        yield Stall(part, waiter, by, lying_dirty(window, by, part))


def _usual_s(waiter: Waiter, last: int) -> float:
    """How long a commit took up to a second; 0 where too little is known, as where the stall was there before us."""
    known = sum(1 for second in range(last + 1) if waiter.commits_counted.of(second))
    return waiter.commit_s(Interval(0, last)) if known >= BEFORE_S else 0.0


def _who_dirties(window: Window, waiter: Waiter, run: Interval) -> User | None:
    """The program that writes most beside a process that commits, if it is much and can go to the same device.

    Of several that write about as much, the one that waits for the same journal: a program that serves a
    disk (of a virtual machine, of FUSE) writes on again what its users have written.
    """
    everybody = window.once(users)
    others = [user for user in everybody if user.program != waiter.program]
    most = max((user.written_in(run) for user in others), default=0.0)
    large = [user for user in others if user.written_in(run) >= ALIKE_SHARE * most]
    by = max(large, key=lambda user: (_shares_journal(window, user, waiter), user.written_in(run)), default=None)
    own = sum(user.written_in(run) for user in everybody if user.program == waiter.program)
    if by is None or not _is_bulk(by, run, own):
        by, own = _sibling(window, waiter, run), _of_process(window, waiter.pid).written_in(run)
    if by is None or not _is_bulk(by, run, own):
        return None
    journals = waiter.journals
    written = [
        device.load(run).write_bytes
        for device in window.once(devices).values()
        if not journals or any(is_of(journal, device.name) for journal in journals)
    ]
    return by if max(written, default=0.0) >= max(ON_DEVICE_SHARE * by.written_in(run), 1.0) else None


def _is_bulk(by: User, run: Interval, own: float) -> bool:
    return by.written_in(run) >= BULK * own and by.read_in(run) <= by.written_in(run)


def _sibling(window: Window, waiter: Waiter, run: Interval) -> User | None:
    """The process of the same program that writes most beside one that commits.

    A database has a process for each client, and one of them may load in bulk while the others make small changes.
    """
    pids = {
        deltas[-1].after.pid or 0
        for user in window.once(users)
        if user.program == waiter.program
        for deltas in user.members
    }
    siblings = (_of_process(window, pid) for pid in sorted(pids - {waiter.pid}))
    return max(siblings, key=lambda user: user.written_in(run), default=None)


def _of_process(window: Window, pid: int) -> User:
    """What a process read and wrote: as a program of its own."""
    known = window.once(_by_process)
    return known.get(pid) or User(ProgramId("?", None), [])


def _by_process(window: Window) -> Mapping[int, User]:
    return {
        deltas[-1].after.pid or 0: user_of(window, user.program, [deltas])
        for user in window.once(users)
        for deltas in user.members
    }


def _shares_journal(window: Window, user: User, waiter: Waiter) -> bool:
    members = window.once(waiters_by_program).get(user.program, ())
    return any(member.journals & waiter.journals for member in members)


def lying_dirty(window: Window, by: User, run: Interval) -> Evidence | None:
    """The rows that show how much lay in the page cache to be written, if it was a good part of what one wrote."""
    rows = window.within(window.rows(Memory), run)
    shown = [window.evidence(rows, metric, "max") for metric in (Memory.dirty_kb, Memory.writeback_kb)]
    largest = max((evidence for evidence in shown if evidence), key=lambda evidence: evidence.value, default=None)
    least = DIRTY_SHARE * by.written_in(run) / run.seconds
    return largest if largest is not None and 1024 * largest.value >= least else None
