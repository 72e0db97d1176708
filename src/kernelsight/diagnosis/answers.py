"""Clients of servers: who waits for whose answers, and who asks whom, as far as sockets show it.

That one process waits for another does not make the other a server: the end of a pipe waits for its beginning, and a
parent for its child. A packet that a process sends wakes who receives it from a softirq, in the midst of the call that
sends (loopback); a pipe is written to by a task alone. The calls that receive messages are of sockets, too.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from statistics import median_low

from kernelsight.diagnosis.processes import ancestors
from kernelsight.diagnosis.waiting import Edge, waiting
from kernelsight.diagnosis.window import Interval, Window
from kernelsight.linux.syscalls import RECEIVES_MESSAGES

_LEAST_WAIT_S = 1e-9
"""No answer takes less; so long is a wait that was counted, and took no time."""


@dataclass(slots=True)
class Served:
    """The clients of a server."""

    waits: list[Edge] = field(default_factory=list)
    """Waits of clients, which the server ended through a socket."""
    requests: list[Edge] = field(default_factory=list)
    """Waits of the server, which those clients ended through a socket."""

    def by_client(self) -> Mapping[int, Sequence[Edge]]:
        """The waits of each client."""
        found: dict[int, list[Edge]] = {}
        for edge in self.waits:
            found.setdefault(edge.pid, []).append(edge)
        return found


def served(window: Window) -> Mapping[int, Served]:
    """The servers of a window by pid, each with its clients; use with :meth:`Window.once`.

    Relatives of a process are not its clients: who starts others waits for them, and they for it, by design.
    """
    edges = list(_through_sockets(window))
    clients = {(edge.pid, edge.waker_pid) for edge in edges}
    found: dict[int, Served] = {}
    for edge in edges:
        found.setdefault(edge.waker_pid or 0, Served()).waits.append(edge)
        if (edge.waker_pid, edge.pid) in clients:
            found.setdefault(edge.pid, Served()).requests.append(edge)
    return {pid: of for pid, of in found.items() if of.waits}


def _through_sockets(window: Window) -> Iterator[Edge]:
    for edge in window.once(waiting).edges:
        if edge.is_own or not edge.waker_pid or edge.state != "interruptible":
            continue
        through = edge.waits_in in RECEIVES_MESSAGES or any(row.waker_context == "softirq" for row in edge.rows)
        if through and not _relatives(window, edge.pid, edge.waker_pid):
            yield edge


def _relatives(window: Window, one: int, other: int) -> bool:
    return any(
        ancestor.pid == elder for child, elder in ((one, other), (other, one)) for ancestor in ancestors(window, child)
    )


def waits_in(edges: Iterable[Edge], run: Interval) -> float:
    """How often a client waited within a stretch."""
    return sum(edge.count_in(run) for edge in edges)


def mean_wait_s(edges: Sequence[Edge], run: Interval) -> float:
    """How long each wait of a client took within a stretch, on average; 0 without one."""
    return sum(edge.waited_in(run) for edge in edges) / max(waits_in(edges, run), 1)


def times_longer(waits: Iterable[tuple[float, float]]) -> float | None:
    """How many times as long as before half of the clients, or more, wait at least; None: none is known from before.

    Args:
        waits: of each client that is known from before, the mean wait now and before (s).
    """
    times = [now_s / max(before_s, _LEAST_WAIT_S) for now_s, before_s in waits]
    return median_low(times) if times else None
