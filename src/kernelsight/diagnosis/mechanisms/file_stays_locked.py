"""Processes that wait for a file to be unlocked."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from kernelsight.diagnosis.duration import LASTS, Duration, duration_of
from kernelsight.diagnosis.faults.lock_contention import LOCK_CONTENTION
from kernelsight.diagnosis.mechanism import Check, Explanation, Mechanism, claim, path
from kernelsight.diagnosis.model import Entity
from kernelsight.diagnosis.processes import named
from kernelsight.diagnosis.queues import NO_QUEUE_OF_JOBS, in_line_for_a_job
from kernelsight.diagnosis.remedies import LOOK
from kernelsight.diagnosis.threshold import Threshold
from kernelsight.diagnosis.window import Interval, Window, grouped_by, runs
from kernelsight.events.lock import FileLockWait

WAITED_SHARE = Threshold(
    0.5,
    "share of the seconds",
    because="judged: a file that nobody waits for in most seconds is locked for moments, as files are",
)
WAITING_PROCESSES = Threshold(
    1.5, "processes on average", because="judged: more than one that waits, most of the time: they queue"
)
ONE_HOLDER_SHARE = Threshold(0.5, "share of the samples", because="judged: so often the same holder is no coincidence")


@dataclass(frozen=True, slots=True)
class LockedFile:
    """A file in a stretch of seconds in which processes waited to lock it."""

    file: str
    """Device and inode."""
    run: Interval
    duration: Duration
    waits: int
    """Processes that waited, summed over the samples."""
    waited_seconds: int
    """Seconds in which somebody waited."""
    holder: Entity
    """The process that had it locked most often."""
    held: int
    """Of the :attr:`waits`, those in which that one had it."""
    holder_programs: int
    """Programs that had it locked."""
    queue_for_a_job: bool
    """Whether those that wait only wait for their turn, as jobs in a queue do."""
    waiters: Sequence[int]
    """Processes that waited, most often first."""
    rows: Sequence[FileLockWait]

    @property
    def waiting(self) -> float:
        """How many waited, on average."""
        return self.waits / self.run.seconds

    @property
    def waited_share(self) -> float:
        """Of the seconds, the share in which somebody waited."""
        return self.waited_seconds / self.run.seconds

    @property
    def held_share(self) -> float:
        """Of the waits, the share for the one holder."""
        return self.held / self.waits


def measure(window: Window) -> Iterable[LockedFile]:
    """Each file and stretch in which somebody waited for it, and it is known for whom."""
    for (device, inode), rows in grouped_by(
        window.rows(FileLockWait), lambda row: (row.device_name, row.inode)
    ).items():
        known = [row for row in rows if row.holder_pid is not None and row.holder_comm]
        by_second = window.per_second(known, lambda _: 1.0)
        for run in runs(by_second, lambda waiters: waiters >= 1, gap=2):
            within = window.within(known, run)
            queue = in_line_for_a_job(window, within, run)
            rest = [row for row in within if row.pid not in queue]
            yield _locked(window, f"{device}:{inode}", rest or within, run, queue_for_a_job=not rest)


def _locked(
    window: Window, file: str, rows: Sequence[FileLockWait], run: Interval, *, queue_for_a_job: bool
) -> LockedFile:
    holders = Counter(row.holder_pid for row in rows if row.holder_pid is not None)
    waiters = Counter(row.pid for row in rows)
    holder, held = max(holders.items(), key=lambda item: (item[1], -item[0]))
    return LockedFile(
        file=file,
        run=run,
        duration=duration_of(window, run),
        waits=len(rows),
        waited_seconds=len({window.second(row) for row in rows}),
        holder=_holder(window, holder, rows),
        held=held,
        holder_programs=len({row.holder_comm for row in rows}),
        queue_for_a_job=queue_for_a_job,
        waiters=[pid for pid, _ in waiters.most_common(5) if pid is not None],
        rows=rows,
    )


def _holder(window: Window, pid: int, rows: Sequence[FileLockWait]) -> Entity:
    return named(window, pid, next((row.holder_comm for row in rows if row.holder_pid == pid), None))


def explain(window: Window, suspect: LockedFile) -> Explanation:
    """They wait until the holder unlocks the file."""
    culprit, run = suspect.holder, suspect.run
    of_holder = [row for row in suspect.rows if str(row.holder_pid) == culprit.id]
    return Explanation(
        culprit=culprit,
        onset_ns=window.at(run.first),
        victims=tuple(named(window, pid) for pid in suspect.waiters),
        does=f"keeps file {suspect.file} locked",
        harm=f"waits for the lock in {suspect.waited_seconds} of {run.seconds} samples",
        suffering_s=float(suspect.waits),
        path=path(
            claim(
                f"{suspect.waiting:.1f} processes on average waited to lock file {suspect.file}, in "
                f"{suspect.waited_seconds} of {run.seconds} samples",
                window.evidence(suspect.rows, FileLockWait.inode, "count"),
            ),
            claim(
                f"{culprit.name} ({culprit.id}) held the lock in {suspect.held} of {suspect.waits} cases",
                window.evidence(of_holder, FileLockWait.inode, "count"),
            ),
        ),
        refuted_by=f"they wait as long after {culprit.name} has unlocked the file",
        outlook="they wait for as long as it keeps the file locked",
        actions=(LOOK.on(culprit, f"see why {culprit.name} keeps the file locked, or end it"),),
    )


MECHANISM = Mechanism[LockedFile](
    fault=LOCK_CONTENTION,
    summary="A process keeps a file locked, and others wait in their calls until it is unlocked.",
    measure=measure,
    checks=(
        LASTS,
        Check(
            id="waited_for_most_of_the_time",
            says="somebody waits for the file most of the time",
            holds=lambda suspect: suspect.waited_share >= WAITED_SHARE,
            supports=2.5,
            refutes=4.0,
            because="judged: it is what the fault consists of, as the kernel lists it (/proc/locks); now and then, it "
            "is a lock that is used as intended",
        ),
        Check(
            id="several_wait",
            says="several processes wait, and not only one",
            holds=lambda suspect: suspect.waiting >= WAITING_PROCESSES,
            supports=1.0,
            refutes=0.5,
            because="judged: a queue shows that the lock is the bottleneck; a single one that waits suffers as well",
        ),
        Check(
            id="one_holder",
            says="one process holds the lock most of the time, or all holders are of one program",
            holds=lambda suspect: suspect.held_share >= ONE_HOLDER_SHARE or suspect.holder_programs == 1,
            supports=1.0,
            refutes=1.5,
            because="judged: there is somebody to look at; where holders of several programs take turns, each keeps "
            "it for a moment",
        ),
        NO_QUEUE_OF_JOBS,
    ),
    explain=explain,
)
