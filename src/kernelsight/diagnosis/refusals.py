"""Processes that ask again and again for a file that another one of them has locked.

A process that does not want to sleep until a lock is free is refused it (EAGAIN; fcntl(2) with F_SETLK, flock(2) with
LOCK_NB). It sleeps for a time of its own choice and tries again, as SQLite does
(https://www.sqlite.org/c3ref/busy_timeout.html).
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from kernelsight.diagnosis.identity import by_program
from kernelsight.diagnosis.lock_queues import SOMEBODY
from kernelsight.diagnosis.waiting import Edge, waiting
from kernelsight.diagnosis.window import Interval, Window, runs
from kernelsight.events.syscalls import SyscallError
from kernelsight.linux.syscalls import FILE_LOCKS, POLLS, SLEEPS

_SLEEPS_IN = SLEEPS | POLLS
_GAP_S = 2
"""Seconds without a try that do not end a stretch: a polite program tries once a second."""


@dataclass(frozen=True, slots=True)
class Refusals:
    """A stretch in which processes of one program were refused locks of files, and slept until they tried again."""

    run: Interval
    rows: Sequence[SyscallError]
    sleeps: Sequence[Edge]
    """Their sleeps for a time."""

    @property
    def pids(self) -> frozenset[int]:
        """The processes that were refused one."""
        return frozenset(row.pid for row in self.rows if row.pid is not None)

    @property
    def counted(self) -> int:
        """How often."""
        return sum(row.count or 0 for row in self.rows)

    @property
    def waiting(self) -> float:
        """How many slept for a lock, on average: each refusal leads to one of their sleeps, of mean length."""
        times, slept = (sum(what(edge) for edge in self.sleeps) for what in (self._times, self._slept))
        return min(self.counted * slept / max(times, 1.0), slept) / self.run.seconds

    def _times(self, edge: Edge) -> float:
        return edge.count_in(self.run)

    def _slept(self, edge: Edge) -> float:
        return edge.waited_in(self.run)


def refusals(window: Window) -> Iterator[Refusals]:
    """By program, when several of its processes are refused a lock.

    A single process that is refused one is kept out by another program, which is not seen.
    """
    asked = [row for row in window.rows(SyscallError) if row.error == "EAGAIN" and row.syscall_name in FILE_LOCKS]
    graph = window.once(waiting)
    for rows in by_program(window, asked).values():
        for run in runs(window.per_second(rows, SyscallError.count), lambda times: times >= 1, gap=_GAP_S):
            within = window.within(rows, run)
            pids = {row.pid for row in within if row.pid is not None}
            sleeps = [
                edge
                for pid in pids
                for edge in graph.by_waiter.get(pid, ())
                if edge.waits_in in _SLEEPS_IN and not edge.waker_pid and edge.state == "interruptible"
            ]
            found = Refusals(run, within, sleeps)
            if len(pids) > 1 and found.waiting >= SOMEBODY:
                yield found
