"""Threads of a program that queue for a lock of that program."""

from __future__ import annotations

from collections.abc import Iterable

from kernelsight.diagnosis.duration import LASTS
from kernelsight.diagnosis.faults.lock_contention import LOCK_CONTENTION
from kernelsight.diagnosis.lock_checks import ALIKE_SHARE, FEW_GO_ON, HOLDER_WORKS, RELEASE_EACH_OTHER
from kernelsight.diagnosis.lock_queues import Queueing, queueing, use_meanwhile, who_waited
from kernelsight.diagnosis.mechanism import Check, Explanation, Mechanism, path
from kernelsight.diagnosis.processes import named
from kernelsight.diagnosis.remedies import LOOK
from kernelsight.diagnosis.threshold import Threshold
from kernelsight.diagnosis.window import Window

NOW_AND_THEN_SHARE = Threshold(
    0.03,
    "share of the releases",
    because="judged: mostly, the thread that releases a lock may take it again before a waiter wakes up (recorded: "
    "`hashes_with_the_lock`); the thread that hands out work never waits for it itself",
)
HELD_THREADS = Threshold(
    0.8,
    "threads on average",
    because="calculated: a lock that others wait for is always held, but for the time in which it changes hands; the "
    "members of a pool that wake each other for work have nothing to do now and then",
)
IDLE_THREADS = Threshold(
    0.3,
    "threads on average",
    because="judged: from so many on, the others may wait for what these bring",
)


def measure(window: Window) -> Iterable[Queueing]:
    """Each stretch in which a thread always waited for a lock of its program."""
    return queueing(window, in_kernel=False)


def explain(window: Window, suspect: Queueing) -> Explanation:
    """One thread goes on at a time, and the others wait for it."""
    culprit = named(window, suspect.culprit_pid)
    return Explanation(
        culprit=culprit,
        onset_ns=window.at(suspect.run.first),
        victims=tuple(named(window, pid) for pid in sorted(suspect.queue.pids)[:5]),
        does="has a lock that others of its kind want"
        if len(suspect.queue.pids) > 1
        else "lets its threads queue for a lock",
        detail=f"{suspect.waiting:.1f} wait on average",
        harm="waits for that lock" if len(suspect.queue.pids) > 1 else "works in one thread at a time",
        suffering_s=suspect.waiting * suspect.run.seconds,
        path=path(*who_waited(window, suspect, culprit, "a lock of their program"), use_meanwhile(window, suspect)),
        refuted_by="it gets less done with fewer threads",
        outlook="more threads, or more CPUs, make it no faster",
        actions=(LOOK.on(culprit, f"see what {culprit.name} does while it has the lock, or let it run fewer threads"),),
    )


MECHANISM = Mechanism[Queueing](
    fault=LOCK_CONTENTION,
    summary="Threads of one program want the same lock. One has it, and the others wait until it is released.",
    measure=measure,
    checks=(
        RELEASE_EACH_OTHER,
        Check(
            id="releaser_had_waited",
            says="the thread that releases the lock had waited for it itself, and threads sleep for that lock most",
            holds=lambda suspect: None if suspect.passed_on is None else suspect.is_passed_on,
            supports=2.5,
            refutes=1.0,
            because="judged: a thread that hands out work does not wait for it, so this is nearly proof of a lock; "
            "some runtimes let each thread sleep on a futex of its own, so its failure says little. Where threads that "
            "wait for work also take a lock for a moment each time, as those of an emulated machine do, they sleep for "
            "the work",
        ),
        Check(
            id="releaser_had_waited_at_times",
            says="the thread that releases the lock had waited for it itself, at least now and then",
            holds=lambda suspect: (
                None if suspect.passed_on is None or suspect.is_passed_on else suspect.passed_on >= NOW_AND_THEN_SHARE
            ),
            supports=1.5,
            refutes=0.0,
            because="judged: it still is a lock, if one thread takes it again and again before the waiters wake up "
            "(recorded: `hashes_with_the_lock`)",
        ),
        Check(
            id="none_idles",
            says="no thread of the program waits for a timer or for work from outside",
            holds=lambda suspect: (
                None if suspect.passed_on is None or suspect.is_passed_on else suspect.idle < IDLE_THREADS
            ),
            supports=0.0,
            refutes=6.0,
            because="judged: where the releases do not show a lock, a thread that waits for work from outside gives "
            "the others what they wait for, as in a pool (recorded: `python_pool_that_idles`)",
        ),
        Check(
            id="always_held",
            says="the lock is held all the time while others wait for it",
            holds=lambda suspect: (
                None
                if suspect.passed_on is None or suspect.passed_on >= NOW_AND_THEN_SHARE
                else suspect.held >= HELD_THREADS
            ),
            supports=0.0,
            refutes=5.0,
            because="judged: where no releaser had waited, a time in which nobody runs, sleeps or is blocked is one in "
            "which a pool has nothing to do",
        ),
        Check(
            id="alike_though_waited",
            says="its threads all do the same; none gives work to the others",
            holds=lambda suspect: (
                None
                if suspect.busiest is None or (suspect.passed_on or 0) < NOW_AND_THEN_SHARE
                else suspect.busiest <= ALIKE_SHARE
            ),
            supports=2.0,
            refutes=1.5,
            because="judged: threads that share a lock do the same as a rule; where the releasers had waited, one of "
            "them may do more than the others all the same",
        ),
        Check(
            id="alike",
            says="its threads all do the same; none gives work to the others",
            holds=lambda suspect: (
                None
                if suspect.busiest is None or (suspect.passed_on or 0) >= NOW_AND_THEN_SHARE
                else suspect.busiest <= ALIKE_SHARE
            ),
            supports=2.0,
            refutes=4.0,
            because="judged: where no releaser is known to have waited, a thread that does most of what all do is the "
            "one that hands out work, and the others are its pool (recorded: `threads_that_wait_for_work`)",
        ),
        HOLDER_WORKS,
        FEW_GO_ON,
        LASTS,
    ),
    explain=explain,
)
