"""Processes that try again and again to lock a file that another one of them has locked."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping
from dataclasses import dataclass

from kernelsight.diagnosis.cpu_time import cpu_use
from kernelsight.diagnosis.duration import LASTS, Duration, duration_of
from kernelsight.diagnosis.faults.lock_contention import LOCK_CONTENTION
from kernelsight.diagnosis.lock_checks import FEW_GO_ON
from kernelsight.diagnosis.mechanism import Check, Explanation, Mechanism, Prior, claim, path
from kernelsight.diagnosis.phrases import times
from kernelsight.diagnosis.processes import named
from kernelsight.diagnosis.queues import NO_QUEUE_OF_JOBS, asks_for_its_turn
from kernelsight.diagnosis.refusals import Refusals, refusals
from kernelsight.diagnosis.remedies import LOOK
from kernelsight.diagnosis.threshold import Threshold
from kernelsight.diagnosis.waiting import shown
from kernelsight.diagnosis.window import Window, grouped_by
from kernelsight.events.scheduler import Wait
from kernelsight.events.syscalls import SyscallError

REFUSED_SHARE = Threshold(
    0.5,
    "share of the seconds",
    because="judged: a lock that is free in most seconds holds up few; who is refused tries again within a second",
)


@dataclass(frozen=True, slots=True)
class Refused:
    """Processes of one program in a stretch in which they were refused the lock of a file."""

    refusals: Refusals
    duration: Duration
    refused_share: float
    """Of the seconds, the share in which one of them was refused it."""
    waiting: float
    """How many slept until they tried again, on average."""
    ran: float
    """CPUs that they used, on average."""
    queue_for_a_job: bool
    """Whether each of them only asks for its turn now and then, as jobs in a queue do."""
    by_pid: Mapping[int, int]
    """How often each was refused it."""


def measure(window: Window) -> Iterable[Refused]:
    """Each program and stretch in which several of its processes were refused the lock of a file."""
    for refused in refusals(window):
        run, pids = refused.run, refused.pids
        by_pid = Counter(dict.fromkeys(pids, 0))
        for row in refused.rows:
            if row.pid is not None:
                by_pid[row.pid] += row.count or 0
        uses = [use for use in window.once(cpu_use) if use.pid in pids]
        tries = grouped_by(refused.rows, lambda row: row.pid)
        yield Refused(
            refusals=refused,
            duration=duration_of(window, run),
            refused_share=len({window.second(row) for row in refused.rows}) / run.seconds,
            waiting=refused.waiting,
            ran=sum(use.ran_in(run) for use in uses) / run.seconds,
            queue_for_a_job=all(asks_for_its_turn(window, pid or 0, of, run) for pid, of in tries.items()),
            by_pid=by_pid,
        )


def explain(window: Window, suspect: Refused) -> Explanation:
    """They keep each other out: the one that has the lock most is refused it least."""
    refused, run = suspect.refusals, suspect.refusals.run
    culprit = named(window, min(suspect.by_pid, key=lambda pid: (suspect.by_pid[pid], pid)))
    most_refused = Counter(suspect.by_pid).most_common(5)
    return Explanation(
        culprit=culprit,
        onset_ns=window.at(run.first),
        victims=tuple(named(window, pid) for pid, _ in most_refused),
        does="keeps a file locked that others of its kind want",
        harm=f"is refused the lock {times(most_refused[0][1])}, and sleeps before it tries again",
        suffering_s=suspect.waiting * run.seconds,
        path=path(
            claim(
                f"the kernel refused {len(suspect.by_pid)} processes {culprit.name} the lock of a file (EAGAIN), "
                f"{refused.counted} times",
                window.evidence(refused.rows, SyscallError.count, "sum"),
            ),
            claim(
                f"{suspect.waiting:.1f} of them slept on average, to try again later",
                shown(window, refused.sleeps, run),
                shown(window, refused.sleeps, run, Wait.count),
            ),
        ),
        refuted_by="it gets less done with fewer of these processes",
        outlook="more processes make it no faster",
        actions=(LOOK.on(culprit, f"see what {culprit.name} does while it has the file locked, or run fewer of it"),),
    )


MECHANISM = Mechanism[Refused](
    fault=LOCK_CONTENTION,
    summary="Processes of one program lock the same file. A process that finds it locked is refused it (EAGAIN), "
    "sleeps, and tries again.",
    measure=measure,
    prior=Prior(
        1.0,
        because="judged: only where several processes of one program are refused a lock, each is a suspect; so they "
        "keep each other out, while a single one may be kept out by somebody that is not seen",
    ),
    checks=(
        Check(
            id="refused_most_of_the_time",
            says="the kernel refuses one of them the lock most of the time",
            holds=lambda suspect: suspect.refused_share >= REFUSED_SHARE,
            supports=2.5,
            refutes=4.0,
            because="judged: it is what the fault consists of, as the kernel answers them (EAGAIN of fcntl(2) and "
            "flock(2)); now and then, it is a collision",
        ),
        FEW_GO_ON,
        NO_QUEUE_OF_JOBS,
        LASTS,
    ),
    explain=explain,
)
