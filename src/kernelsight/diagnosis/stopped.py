"""Processes that are stopped, by a signal (state T), a debugger (t) or a freezer, and what waits for them to go on."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import pairwise, takewhile
from typing import Literal

from kernelsight.diagnosis.duration import GOES_ON_S
from kernelsight.diagnosis.identity import process_entity
from kernelsight.diagnosis.model import Entity
from kernelsight.diagnosis.processes import processes
from kernelsight.diagnosis.threshold import Threshold
from kernelsight.diagnosis.unanswered import Awaited, behind, under_way
from kernelsight.diagnosis.waiting import Edge, waiting
from kernelsight.diagnosis.window import NS_PER_S, Window
from kernelsight.events.lock import FileLockWait
from kernelsight.events.process import Process, SocketOwner
from kernelsight.events.service import ServiceEdge
from kernelsight.events.tcp import TcpListener
from kernelsight.linux.syscalls import EXITS, WAITS_FOR_CHILD
from kernelsight.query.filters import Filter
from kernelsight.query.stored import stored_rows
from kernelsight.query.times import TimeRange

ANSWERS = Threshold(5, "waits", because="judged: less may be chance, as when one process starts another")
LOOKED_AGAIN_S = Threshold(
    12,
    "s",
    because="sockets are looked at every 10 s, and locks less often than every second where it takes long to read them "
    "(kernelsight.collectors.procfs): what was seen so lately may still be",
)
CALLED_MS = Threshold(
    1000, "ms", because="judged: a request is under way at any moment; a server that runs answers most within a second"
)
_BY_DEBUGGER, _BY_SIGNAL = "t", "T"
_STATES = frozenset({_BY_DEBUGGER, _BY_SIGNAL})
Cause = Literal["signal", "debugger", "freezer"]
_BACK_NS = 60 * NS_PER_S
"""Every process has a row at least this often (kernelsight.collectors.selection)."""
_FIRST_PID = 1


@dataclass(frozen=True, slots=True)
class Stopped:
    """A process that was stopped and has not gone on, and what waits for it at the end of the window."""

    process: Entity
    cause: Cause
    """Who has stopped it: the freezer is that of a control group."""
    stopped_s: float
    """For how long it has been stopped, as far as that was seen."""
    has_run: bool
    """Whether it used CPU time meanwhile: it goes on between two looks, as under strace(1)."""
    serves: bool
    """Whether it or its parent listens for connections. The parent of who is in a debugger may be that debugger, which
    listens for those who use it (gdbserver(1)): it counts where clients have had answers before."""
    rows: Sequence[Process]
    """Its samples since it was stopped."""
    unread: Sequence[SocketOwner]
    """Its sockets, where something waits there to be read."""
    queued: Sequence[TcpListener]
    """Its listener, where connections wait and none is accepted."""
    locks: Sequence[FileLockWait]
    """Waits for files that it has locked."""
    asked: Sequence[Awaited]
    """Requests to it that it does not answer."""
    behind: Sequence[Awaited]
    """Requests to those who have asked it, which wait meanwhile."""
    called: Sequence[ServiceEdge]
    """Calls of clients to it that have no answer, where no request is known by its connection, as with datagrams."""
    cut_off: Sequence[Edge]
    """The waits of others that it ended before, and has not since."""

    @property
    def waited_for(self) -> str:
        """What waits for it, in words; empty if nothing does."""
        several = (
            (self.locks, f"{len({row.pid for row in self.locks})} processes wait for a file that it has locked"),
            (self.asked, f"{sum(wait.connections for wait in self.asked)} requests wait for its answer"),
            (self.called, f"{len({row.pid for row in self.called})} clients have called it and wait"),
            (self.queued, f"{self.queued[-1].accept_queue if self.queued else 0} connections wait to be accepted"),
            (
                self.serves and self.unread,
                f"{self.unread[-1].receive_queue_bytes if self.unread else 0} bytes of its clients wait to be read",
            ),
        )
        return ", ".join(text for rows, text in several if rows)

    @property
    def victims(self) -> Sequence[Entity]:
        """Who waits for it, as far as that is known."""
        waiters: dict[int | None, str | None] = {row.pid: row.comm for row in self.locks}
        clients: dict[int | None, str | None] = {edge.pid: edge.comm for edge in self.cut_off}
        asking: dict[int | None, str | None] = {wait.pid: wait.comm for wait in (*self.behind, *self.asked)}
        asking |= {row.pid: row.comm for row in self.called}
        return [process_entity(pid, comm) for pid, comm in (asking | clients | waiters).items() if pid is not None]


def stopped(window: Window) -> Iterator[Stopped]:
    """The processes that are stopped at the end of a window."""
    samples = _samples(window)
    still = {pid: since for pid, rows in samples.items() if (since := _since(rows))}
    for pid, since in still.items():
        yield _stopped(window, samples[pid], since, still)


def _samples(window: Window) -> Mapping[int, Sequence[Process]]:
    """The samples of each process that was seen stopped, by time.

    Of a process that has no sample in the window and that others wait for, those before it.
    """
    found: dict[int, list[Process]] = {}
    rows = window.rows(Process)
    halted = {row.pid for row in rows if row.state in _STATES or row.frozen}
    for row in rows if halted else ():
        if row.pid is not None and row.pid in halted:
            _add(found, row.pid, row)
    named = {row.holder_pid for row in window.rows(FileLockWait)}
    named |= {row.pid for row in window.rows(TcpListener) if row.accept_queue}
    named |= {row.pid for row in window.rows(SocketOwner) if row.receive_queue_bytes}
    named |= {wait.peer_pid for wait in window.once(under_way)}
    named |= {row.server_pid for row in window.rows(ServiceEdge) if (row.oldest_unanswered_ms or 0) >= CALLED_MS}
    if unseen := {pid for pid in named if pid is not None} - {row.pid for row in rows}:
        start_ns = window.when.start_ns
        before = TimeRange(max(0, start_ns - _BACK_NS), max(0, start_ns - 1))
        for row in stored_rows(window.reader, Process, before, where=[Filter(Process.pid, "=", sorted(unseen))]):
            _add(found, row.pid or 0, row)
    return found


def _add(found: dict[int, list[Process]], pid: int, row: Process) -> None:
    rows = found.setdefault(pid, [])
    if rows and rows[-1].start_ticks != row.start_ticks:  # the pid was given to another process
        rows.clear()
    rows.append(row)


def _since(rows: Sequence[Process]) -> Sequence[Process]:
    """The last samples of a process, all of which show it stopped."""
    return [*takewhile(_stands_still, reversed(rows))][::-1]


def _stands_still(row: Process) -> bool:
    return row.state in _STATES or bool(row.frozen)


def _cause(row: Process) -> Cause:
    if row.state in _STATES:
        return "debugger" if row.state == _BY_DEBUGGER else "signal"
    return "freezer"


def _stopped(
    window: Window, samples: Sequence[Process], rows: Sequence[Process], others: Mapping[int, object]
) -> Stopped:
    pid, parent = samples[-1].pid or 0, samples[-1].ppid
    since_ns = rows[0].timestamp if rows[0] is not samples[0] else 0  # it was stopped before it was first seen
    sockets = {row.pid: row for row in _last_pass(window)}
    last, above = sockets.get(pid), sockets.get(parent if parent != _FIRST_PID else None)
    cause = _cause(rows[-1])
    cut_off = _cut_off(window, pid, parent, rows[0].timestamp, others)
    listens = (last, None if cause == "debugger" and not cut_off else above)
    unread = [last] if last is not None and last.timestamp >= since_ns and last.receive_queue_bytes else []
    accepts_for = _whose_connections(window, pid, parent, others)
    asked = [wait for wait in window.once(under_way) if wait.peer_pid in accepts_for and wait.waits_for == "answer"]
    return Stopped(
        process=process_entity(pid, rows[-1].comm),
        cause=cause,
        stopped_s=(window.when.end_ns - rows[0].timestamp) / NS_PER_S,
        has_run=_used(rows[1:]),
        serves=any(owner is not None and bool(owner.listening) for owner in listens),
        rows=rows,
        unread=unread,
        queued=_queued(window, accepts_for, since_ns),
        locks=_locks(window, pid, since_ns),
        asked=asked,
        behind=behind(window, asked),
        called=[] if asked else _called(window, pid),
        cut_off=cut_off,
    )


def _used(rows: Sequence[Process]) -> bool:
    """Whether a process ran between its samples. The first one after it was stopped may show what was before."""
    spent = [((row.utime_ms or 0) + (row.stime_ms or 0), row.voluntary_switches or 0) for row in rows]
    return any(before != after for before, after in pairwise(spent))


def _last_pass(window: Window) -> Sequence[SocketOwner]:
    """The sockets of all processes at the last look at them: who has ended since the one before has none."""
    rows = window.rows(SocketOwner)
    latest = max((row.timestamp for row in rows), default=0)
    if window.when.end_ns - latest > LOOKED_AGAIN_S * NS_PER_S:
        return ()
    return [row for row in rows if latest - row.timestamp < NS_PER_S]


def _whose_connections(window: Window, pid: int, parent: int | None, others: Mapping[int, object]) -> frozenset[int]:
    """Whose connections wait for a process to accept them: its own, and its parent's where all its workers are stopped.

    A parent that listens for its workers is the one at the other end, as long as none of them has accepted.
    """
    known = window.once(processes)
    if parent is None or pid not in known or parent not in known or known[parent].comm != known[pid].comm:
        return frozenset({pid})
    workers = [process.pid for process in known.values() if process.parent == parent]
    return frozenset({pid, parent}) if all(worker in others for worker in workers) else frozenset({pid})


def _queued(window: Window, pids: frozenset[int], since_ns: int) -> Sequence[TcpListener]:
    """The listener of processes of whose queue nobody takes anything since it was stopped, if it still has one.

    Others may accept from it as well, and at a single look a connection may wait for them: it must wait at two.
    """
    rows = [row for row in window.rows(TcpListener) if row.pid in pids and row.timestamp >= since_ns]
    for port in {(row.address, row.port) for row in rows}:
        queue = [row for row in rows if (row.address, row.port) == port]
        grows = all((a.accept_queue or 0) <= (b.accept_queue or 0) for a, b in pairwise(queue))
        is_recent = window.when.end_ns - queue[-1].timestamp <= GOES_ON_S * NS_PER_S
        waits = all(row.accept_queue for row in queue[-2:]) and len(queue) > 1
        if grows and waits and is_recent:
            return queue
    return ()


def _called(window: Window, pid: int) -> Sequence[ServiceEdge]:
    since = window.when.end_ns - GOES_ON_S * NS_PER_S
    return [
        row
        for row in window.rows(ServiceEdge)
        if row.server_pid == pid and row.timestamp >= since and (row.oldest_unanswered_ms or 0) >= CALLED_MS
    ]


def _locks(window: Window, pid: int, since_ns: int) -> Sequence[FileLockWait]:
    rows = [row for row in window.rows(FileLockWait) if row.holder_pid == pid and row.timestamp >= since_ns]
    return rows if rows and window.when.end_ns - rows[-1].timestamp <= LOOKED_AGAIN_S * NS_PER_S else ()


def _cut_off(
    window: Window, pid: int, parent: int | None, since_ns: int, others: Mapping[int, object]
) -> Sequence[Edge]:
    """The waits of others that a process ended before it was stopped, and none since; those it ended most often first.

    Its parent, which waits for its end, and processes that are stopped as well do not count.
    """
    found = [
        edge
        for edge in window.once(waiting).by_waker.get(pid, ())
        if edge.pid not in {pid, parent}
        and edge.pid not in others
        and edge.state == "interruptible"
        and edge.waits_in not in WAITS_FOR_CHILD | EXITS
        and sum(row.count or 0 for row in edge.rows) >= ANSWERS
        and edge.rows[-1].timestamp <= since_ns + NS_PER_S
    ]
    return sorted(found, key=lambda edge: -sum(row.count or 0 for row in edge.rows))
