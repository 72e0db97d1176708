"""Waits that are still under way at the end of a window: who waits for whom, and where that ends.

Rows of the kind `pending_wait` say it of connections and pipes, one a second as long as it lasts. So the last rows of
a window are the wait-for graph of its last moment, however long ago the waits began.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from itertools import pairwise

from kernelsight.diagnosis.duration import GOES_ON_S
from kernelsight.diagnosis.mechanism import claim
from kernelsight.diagnosis.model import Entity, Step
from kernelsight.diagnosis.processes import named
from kernelsight.diagnosis.threshold import Threshold
from kernelsight.diagnosis.waiting import Edge, waiting
from kernelsight.diagnosis.window import NS_PER_S, Interval, Window
from kernelsight.events.pending_wait import PendingWait
from kernelsight.linux.syscalls import POLLS, RECEIVES

LONG_S = Threshold(
    3,
    "s",
    because="judged: requests of healthy services take less; what takes seconds on purpose is told by its past and by "
    "the answers that do come",
)
ANSWERS_BEFORE = Threshold(5, "answers", because="judged: of fewer, a mean says little")
_MOST_BETWEEN_NS = 15 * NS_PER_S
"""Passes are a second apart, and more where there are very many descriptors."""
_PASS_NS = NS_PER_S // 2
SAME_WAIT_MS = 1500
"""Two rows are of one wait if they say nearly the same moment at which it began; rows are a second apart."""


@dataclass(frozen=True, slots=True)
class Awaited:
    """What one process waits for at the end of the window."""

    pid: int | None
    """Who waits; None: somebody on another machine, or not known."""
    comm: str | None
    waits_for: str
    peer_pid: int | None
    peer_comm: str | None
    peer_waits_in: str | None
    transport: str | None
    address: str | None
    port: int | None
    connections: int
    waited_s: float
    began_ns: int
    """When the longest of its waits began."""
    latest_ns: int
    """When the shortest of them began."""
    rows: Sequence[PendingWait]
    """The rows of this wait."""

    @property
    def place(self) -> str:
        """Where the service is, as people write it; empty where it has no address."""
        if self.address is None:
            return ""
        host = f"[{self.address}]" if ":" in self.address else self.address
        return f"{host}:{self.port}"


def under_way(window: Window) -> Sequence[Awaited]:
    """The waits under way at the end of a window, the longest first. Use with :meth:`Window.once`."""
    stamps = sorted({row.timestamp for row in window.rows(PendingWait)})
    last_ns = stamps[-1] if stamps else 0
    between_ns = min(stamps[-1] - stamps[-2], _MOST_BETWEEN_NS) if len(stamps) > 1 else NS_PER_S
    if last_ns < window.when.end_ns - GOES_ON_S * NS_PER_S - between_ns:
        return ()
    found = [_awaited(rows) for rows in window.series(PendingWait).values() if rows[-1].timestamp >= last_ns - _PASS_NS]
    return sorted((one for one in found if one is not None), key=lambda one: -one.waited_s)


def _awaited(rows: Sequence[PendingWait]) -> Awaited | None:
    last = rows[-1]
    if last.waits_for is None or last.waited_ms is None:
        return None
    began = _began(last)
    return Awaited(
        pid=last.pid,
        comm=last.comm,
        waits_for=last.waits_for,
        peer_pid=last.peer_pid,
        peer_comm=last.peer_comm,
        peer_waits_in=last.peer_waits_in,
        transport=last.transport,
        address=last.address,
        port=last.port,
        connections=last.connections or 1,
        waited_s=last.waited_ms / 1e3,
        began_ns=began,
        latest_ns=int(last.timestamp - (last.shortest_ms or last.waited_ms) * 1e6),
        rows=[row for row in rows if abs(_began(row) - began) <= SAME_WAIT_MS * 1e6],
    )


def _began(row: PendingWait) -> int:
    return int(row.timestamp - (row.waited_ms or 0) * 1e6)


def answered_late(window: Window, address: str | None, port: int | None) -> int:
    """How many waits of seconds for a service ended with an answer in the window: where some do, long is usual there.

    Args:
        window: where to look.
        address: of the service.
        port: of the service.
    """
    count = 0
    for rows in window.series(PendingWait).values():
        mine = [row for row in rows if row.address == address and row.port == port and row.waits_for == "answer"]
        for row, after in pairwise(mine):
            is_over = _began(after) > _began(row) + SAME_WAIT_MS * 1e6
            count += is_over and (row.waited_ms or 0) >= LONG_S * 1e3
        if mine and mine[-1].timestamp < window.when.end_ns - GOES_ON_S * NS_PER_S:
            count += (mine[-1].waited_ms or 0) >= LONG_S * 1e3
    return count


def waiter_of(window: Window, wait: Awaited) -> Entity | None:
    """Who waits, if that is a process of this machine."""
    return named(window, wait.pid, wait.comm) if wait.pid is not None else None


def peer_of(window: Window, wait: Awaited) -> Entity:
    """Whom it waits for: a process, or an address of another machine."""
    if wait.peer_pid is not None:
        return named(window, wait.peer_pid, wait.peer_comm)
    return Entity("listener", wait.place, wait.place)


def by_peer(waits: Iterable[Awaited]) -> Mapping[int, Sequence[Awaited]]:
    """Waits by the process that is waited for."""
    found: dict[int, list[Awaited]] = {}
    for wait in waits:
        if wait.peer_pid is not None:
            found.setdefault(wait.peer_pid, []).append(wait)
    return found


@dataclass(frozen=True, slots=True)
class Before:
    """How a process had its answers before a wait began."""

    answers: float
    mean_s: float
    edges: Sequence[Edge]


def before(window: Window, wait: Awaited) -> Before:
    """How the process that waits had its answers before, by its waits on sockets that ended.

    Those that the same process ended, and, where that is on another machine, those that a packet did.
    """
    run = Interval(0, window.second_at(wait.began_ns) - 1)
    edges = [
        edge
        for edge in window.once(waiting).by_waiter.get(wait.pid or -1, ())
        if edge.state == "interruptible"
        and edge.waits_in in POLLS | RECEIVES
        and (edge.waker_pid == wait.peer_pid if wait.peer_pid is not None else not edge.waker_pid and _by_packet(edge))
    ]
    answers = sum(edge.count_in(run) for edge in edges)
    mean_s = sum(edge.waited_in(run) for edge in edges) / answers if answers else 0.0
    return Before(answers, mean_s, edges)


def _by_packet(edge: Edge) -> bool:
    return any(row.waker_context == "softirq" for row in edge.rows)


def times_longer(window: Window, waits: Iterable[Awaited]) -> float | None:
    """How many times as long as before those wait who had answers then; of several, the most; None: nobody is known."""
    known = [(wait, was) for wait in waits if (was := before(window, wait)).answers >= ANSWERS_BEFORE]
    return max((wait.waited_s / max(was.mean_s, 1e-6) for wait, was in known), default=None)


def behind(window: Window, waits: Sequence[Awaited]) -> Sequence[Awaited]:
    """The requests to those who wait, to those who wait for them, and so on."""
    asked = by_peer(wait for wait in window.once(under_way) if wait.waits_for == "answer")
    found: list[Awaited] = []
    to_visit = [wait.pid for wait in waits]
    seen = {wait.peer_pid for wait in waits} | {None}
    while to_visit:
        pid = to_visit.pop()
        if pid is not None and pid not in seen:
            seen.add(pid)
            found += asked.get(pid, ())
            to_visit += [wait.pid for wait in asked.get(pid, ())]
    return found


def waits_for_answer(window: Window, wait: Awaited) -> Step | None:
    """The claim that somebody waits for an answer, and for how long."""
    waiter, peer = waiter_of(window, wait), peer_of(window, wait)
    who = f"{waiter.name} ({waiter.id})" if waiter else "a client of another machine"
    whom = f"{peer.name} ({peer.id})" if peer.kind == "process" else peer.name
    several = f" to {wait.connections} requests" if wait.connections > 1 else ""
    return claim(
        f"{who} waits for an answer of {whom}{several} for {wait.waited_s:.1f} s",
        window.evidence(wait.rows, PendingWait.waited_ms, "max"),
    )


def sleeps_for_more_requests(peer_waits_in: Iterable[str | None]) -> bool:
    """Whether no thread that got a request is known to sleep for anything but the next ones."""
    return {*peer_waits_in} <= {None, *POLLS}
