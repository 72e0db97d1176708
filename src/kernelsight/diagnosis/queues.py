"""Queues that somebody made on purpose: jobs that wait for their turn, and suffer from nothing.

``flock FILE JOB``, as cron jobs are started, package managers, batch schedulers: such a process only waits for a lock,
and then starts or becomes the job that needs it. It is told by what it has done in its life and by who waits for it,
and not by its name. Threads of a server and clients of a file are different: they have other work, come back for the
lock, or have somebody who waits for their answer.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping
from itertools import pairwise
from typing import Protocol

from kernelsight.diagnosis.mechanism import Check
from kernelsight.diagnosis.processes import Process, processes
from kernelsight.diagnosis.threshold import Threshold
from kernelsight.diagnosis.waiting import waiting
from kernelsight.diagnosis.window import Interval, Window
from kernelsight.events.lock import FileLockWait
from kernelsight.events.process import Process as ProcessSample
from kernelsight.events.process import SocketOwner
from kernelsight.events.syscalls import SyscallError

STARTED_MS = Threshold(
    60,
    "ms of CPU time",
    because="judged: it takes so much to start a program, an interpreter too; a process that has used more has done "
    "some work",
)
NOTHING_MS = Threshold(
    5, "ms of CPU time", because="judged: of a program that only locks a file; flock(1) takes 1 to 3 ms"
)
NOTHING_READ_BYTES = Threshold(
    16_384,
    "bytes",
    because="judged: it is read to load a program and its libraries: their headers, 832 bytes each",
)
FEW_SLEEPS = Threshold(3, "sleeps", because="judged: a process sleeps so often that waits for one thing, once")
POLITE_PER_S = Threshold(
    1.5,
    "tries/s",
    because="judged: package managers ask once a second, and programs in a hurry every few milliseconds",
)
QUIET_BYTES_PER_S = Threshold(
    4096, "bytes/s", because="judged: a process that only says that it waits reads and writes less"
)
QUIET_SHARE = Threshold(0.02, "share of a CPU", because="judged: a process that only asks for its turn takes less")
KEPT_WAITING_SHARE = Threshold(
    0.1, "share of the time", because="judged: somebody who waits this long for a process needs what it does"
)


class Waiting(Protocol):
    """Processes that wait for a lock."""

    @property
    def queue_for_a_job(self) -> bool:
        """Whether each of them only waits for its turn, as jobs in a queue do."""
        ...


NO_QUEUE_OF_JOBS: Check[Waiting] = Check(
    id="no_queue_of_jobs",
    says="they are no queue of jobs, which only wait for their turn",
    holds=lambda suspect: not suspect.queue_for_a_job,
    supports=0.0,
    refutes=12.0,
    because="judged: jobs in a queue wait on purpose and suffer from nothing, whatever else holds; most processes that "
    "wait for a lock are no such jobs, so it supports nothing",
)


def in_line_for_a_job(window: Window, rows: Collection[FileLockWait], run: Interval) -> frozenset[int]:
    """Of the processes that wait for one file to be unlocked, those that only wait for their turn.

    Args:
        window: where they are from.
        rows: about that file.
        run: when.
    """
    known = window.once(processes)
    has_child = window.once(parents)
    holders = {row.holder_pid for row in rows if row.holder_pid is not None}
    handed_on = all(pid in known and _hands_on(known[pid], rows, has_child) for pid in holders)
    most_ms = STARTED_MS if handed_on else NOTHING_MS
    waited = {row.pid: row.timestamp for row in rows if row.pid is not None}  # for the last time
    waiters = waited.keys() - _came_back(rows) - _sent_again(rows, known)
    return frozenset(
        pid
        for pid in waiters
        if pid in known
        and _has_done_nothing(known[pid], most_ms, strict=not handed_on)
        and not has_child.get(pid, waited[pid]) < waited[pid]
        and not is_needed(window, known[pid], run)
    )


def _came_back(rows: Iterable[FileLockWait]) -> set[int]:
    """The processes that wait for a file that they had before; a job has its turn once."""
    had: set[int | None] = set()
    suspect: set[int] = set()
    for row in rows:
        had.add(row.holder_pid)
        if row.pid is not None and row.pid in had:
            suspect.add(row.pid)
    return suspect


def _sent_again(rows: Iterable[FileLockWait], known: Mapping[int, Process]) -> set[int]:
    """Whose parent comes back for the file by one child after the other, as a loop does; a queue has them at once."""
    families: dict[int, dict[int, list[int]]] = {}
    for row in rows:
        one = known.get(row.pid) if row.pid is not None else None
        if one is not None and one.parent is not None and one.parent > 1:
            families.setdefault(one.parent, {}).setdefault(one.pid, []).append(row.timestamp)
    suspect: set[int] = set()
    for children in families.values():
        turns = sorted((times[0], times[-1]) for times in children.values())
        if len(turns) > 1 and all(last < first for (_, last), (first, _) in pairwise(turns)):
            suspect.update(children)
    return suspect


def asks_for_its_turn(window: Window, pid: int, refused: Iterable[SyscallError], run: Interval) -> bool:
    """Whether a process does nothing in a stretch but ask for a lock, politely, without ever getting it.

    Args:
        window: where it is from.
        pid: the process.
        refused: its tries.
        run: when.
    """
    one = window.once(processes).get(pid)
    if one is None or not one.samples or pid in window.once(parents):
        return False
    deltas = window.during(window.deltas(ProcessSample).get((pid, one.samples[-1].start_ticks), ()), run)
    used_ms = sum(delta.of(ProcessSample.utime_ms) + delta.of(ProcessSample.stime_ms) for delta in deltas)
    moved = sum(delta.of(ProcessSample.read_chars) + delta.of(ProcessSample.write_chars) for delta in deltas)
    tries = sum(row.count or 0 for row in refused)
    return (
        _is_alone(one.samples[-1])
        and tries <= POLITE_PER_S * run.seconds
        and used_ms <= QUIET_SHARE * 1e3 * run.seconds
        and moved <= QUIET_BYTES_PER_S * run.seconds
        and not is_needed(window, one, run)
    )


def is_needed(window: Window, one: Process, run: Interval) -> bool:
    """Whether somebody else than its parent waits for a process, or its parent has clients that may."""
    edges = window.once(waiting).by_waker.get(one.pid, ())
    waited = sum(e.waited_in(run) for e in edges if e.pid not in {one.pid, one.parent} and e.state != "runnable")
    return waited >= KEPT_WAITING_SHARE * run.seconds or one.parent in window.once(_connected)


def parents(window: Window) -> Mapping[int, int]:
    """Who has a child, and when the first one was seen (ns since the epoch). Use with :meth:`Window.once`."""
    suspect: dict[int, int] = {}
    for row in window.rows(ProcessSample):
        if row.ppid is not None:
            suspect.setdefault(row.ppid, row.timestamp)
    return suspect


def _connected(window: Window) -> frozenset[int]:
    """Who has connections. Use with :meth:`Window.once`."""
    return frozenset(row.pid for row in window.rows(SocketOwner) if row.established and row.pid is not None)


def _hands_on(holder: Process, rows: Collection[FileLockWait], has_child: Collection[int]) -> bool:
    """Whether who has the lock only keeps it for a job: a child, or what it became after it had waited."""
    waited_as = {row.comm for row in rows if row.pid == holder.pid} - {None}
    if waited_as and holder.comm not in waited_as:
        return True
    return holder.pid in has_child and _has_done_nothing(holder, STARTED_MS)


def _has_done_nothing(one: Process, most_ms: float, *, strict: bool = False) -> bool:
    """Whether a process has done nothing in its life but start, and wait."""
    if not one.samples:
        return False
    last = one.samples[-1]
    used_ms = (last.utime_ms or 0) + (last.stime_ms or 0)
    if not _is_alone(last) or used_ms > most_ms:
        return False
    slept = last.voluntary_switches
    return not strict or (
        (slept is not None and slept <= FEW_SLEEPS)
        and (last.read_chars or 0) <= NOTHING_READ_BYTES
        and not last.write_chars
    )


def _is_alone(last: ProcessSample) -> bool:
    """Whether a process has one thread and no sockets."""
    return last.threads == 1 and not last.sockets
