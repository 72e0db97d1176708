"""Servers of one program that keep each other waiting while their clients wait for them.

A database with a process for each client has its row and table locks in memory that these share. A server that waits
for a lock sleeps in the same call as one that waits for its client: in epoll_wait(2), until the server that releases
the lock wakes it (PostgreSQL: src/backend/storage/lmgr/README). The call does not tell the two apart; the process that
ends it does.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass

from kernelsight.diagnosis.identity import ProgramId, program_id
from kernelsight.diagnosis.lock_queues import FOR_WORK, SOMEBODY, waited
from kernelsight.diagnosis.waiting import Edge, waiting
from kernelsight.diagnosis.window import Interval, Window, runs


@dataclass(frozen=True, slots=True)
class Peers:
    """A stretch in which one of several servers always waited for another one of them."""

    run: Interval
    edges: Sequence[Edge]
    """Their waits for each other."""
    asking: Sequence[Edge]
    """The waits of clients for those of them that wait."""
    asked: Sequence[Edge]
    """Their waits for clients."""

    @property
    def pids(self) -> frozenset[int]:
        """The servers that wait."""
        return frozenset(edge.pid for edge in self.edges)

    @property
    def waiting(self) -> float:
        """How many of them waited, on average."""
        return sum(edge.waited_in(self.run) for edge in self.edges) / self.run.seconds

    @property
    def explained(self) -> float:
        """Of the time that servers wait for each other, the share in which a client waits for the one that waits."""
        own, asked = (_waited_by(edges, self.run) for edges in (by_waiter(self.edges), by_waker(self.asking)))
        shared = sum(min(seconds, asked.get(pid, 0.0)) for pid, seconds in own.items())
        return shared / max(sum(own.values()), 1e-9)

    def asked_by(self, server: int) -> list[Edge]:
        """The waits of one of them for its clients."""
        return [edge for edge in self.asked if edge.pid == server]

    @property
    def culprit(self) -> int:
        """The server that let others wait longest."""
        ended = _waited_by(by_waker(self.edges), self.run)
        return max(ended, key=lambda pid: (ended[pid], -pid))


def peers(window: Window) -> list[Peers]:
    """The servers of a window that wait for each other. Use with :meth:`Window.once`."""
    return list(_peers(window))


def _peers(window: Window) -> Iterator[Peers]:
    graph = window.once(waiting)
    program = {edge.pid: program_id(window, edge.comm, edge.rows[-1].cgroup_id) for edge in graph.edges}
    receiving = [e for e in graph.edges if e.state == "interruptible" and e.waits_in in FOR_WORK and e.waker_pid]
    between = [edge for edge in receiving if edge.waker_pid != edge.pid and edge.waker_pid in program]
    asking = [edge for edge in between if program[edge.waker_pid or 0] != program[edge.pid]]
    served = {edge.pid for edge in asking} & {edge.waker_pid for edge in asking}
    found: dict[ProgramId, list[Edge]] = {}
    for edge in between:
        if program[edge.pid] == program[edge.waker_pid or 0] and {edge.pid, edge.waker_pid} <= served:
            found.setdefault(program[edge.pid], []).append(edge)
    for edges in found.values():
        waits = {edge.pid for edge in edges}
        clients = [edge for edge in asking if edge.waker_pid in waits]
        for run in runs(waited(edges, window.second), lambda servers: servers >= SOMEBODY):
            yield Peers(run, [edge for edge in edges if edge.count_in(run)], clients, asking)


def by_waiter(edges: Iterable[Edge]) -> Mapping[int, Sequence[Edge]]:
    """Edges by who waits."""
    found: dict[int, list[Edge]] = {}
    for edge in edges:
        found.setdefault(edge.pid, []).append(edge)
    return found


def by_waker(edges: Iterable[Edge]) -> Mapping[int, Sequence[Edge]]:
    """Edges by who ends the wait."""
    found: dict[int, list[Edge]] = {}
    for edge in edges:
        if edge.waker_pid:
            found.setdefault(edge.waker_pid, []).append(edge)
    return found


def _waited_by(edges: Mapping[int, Sequence[Edge]], run: Interval) -> dict[int, float]:
    return {pid: sum(edge.waited_in(run) for edge in of) for pid, of in edges.items()}
