"""TCP sockets as a source describes them, and the events that are made from them."""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Literal

from kernelsight.collectors.sockstat import TcpTotals
from kernelsight.events.tcp import Tcp, TcpConnection, TcpListener
from kernelsight.linux.sockets import LISTEN, STATES, SYN_SENT, TIME_WAIT, TIMER_OF_PROBES

_INVENTORY_NS = 10_000_000_000
_MOST_LISTENERS = 64
_MOST_CONNECTIONS = 64
_LONG_WITHOUT_ACK = 2
"""Retransmissions in a row, as in bpf/troubled.h."""
_MUCH_UNREAD_BYTES = 65_536
"""Where the window is not told: as much as TCP takes at a time without window scaling (RFC 9293)."""


WaitsFor = Literal["answer", "acknowledgement", "window", "reader"]


@dataclass(frozen=True, slots=True)
class Listener:
    """One listening socket."""

    address: str
    port: int
    accept_queue: int
    backlog: int | None
    inode: int | None


def tcp_event(now: int, by_state: Mapping[int, int] | None, totals: TcpTotals) -> Tcp:
    """The event from the number of sockets in each state (a state that is missing has none) and the totals.

    Where the states are None, the numbers are not known.
    """
    counts = dict.fromkeys(STATES.values(), 0) if by_state is not None else {}
    for state, count in (by_state or {}).items():
        if state in STATES:
            counts[STATES[state]] += count
    return Tcp(now, **counts, orphan=totals.orphan, allocated=totals.allocated, memory_pages=totals.memory_pages)


class ListenerEvents:
    """Chooses which listeners are worth a row.

    Those whose accept queue holds a connection, and once more when it has emptied; all of them every
    ten seconds, so that it is known who listens. At most 64, the fullest first.
    """

    def __init__(self, monotonic_ns: Callable[[], int] = time.monotonic_ns) -> None:
        self._monotonic_ns = monotonic_ns
        self._inventory_due = 0
        self._queued: frozenset[int | None] = frozenset()

    def choose(self, now: int, listeners: Sequence[Listener]) -> list[TcpListener]:
        """The events of this sample."""
        moment = self._monotonic_ns()
        everything = moment >= self._inventory_due
        if everything:
            self._inventory_due = moment + _INVENTORY_NS
        before, self._queued = (
            self._queued,
            frozenset(listener.inode for listener in listeners if listener.accept_queue),
        )
        chosen = [listener for listener in listeners if everything or listener.accept_queue or listener.inode in before]
        chosen.sort(key=lambda listener: (-listener.accept_queue, listener.port, listener.address))
        return [
            TcpListener(
                now,
                address=listener.address,
                port=listener.port,
                accept_queue=listener.accept_queue,
                backlog=listener.backlog,
                inode=listener.inode,
            )
            for listener in chosen[:_MOST_LISTENERS]
        ]


@dataclass(frozen=True, slots=True)
class Connection:
    """One connection, as sources describe it that do not tell its windows."""

    local: tuple[str, int]
    peer: tuple[str, int]
    state: int
    unread_bytes: int
    unacknowledged_bytes: int
    """With what is not sent yet."""
    waits_for: WaitsFor
    retransmits: int
    inode: int | None


def waits_for(state: int, timer: int, retransmits: int, unread_bytes: int) -> WaitsFor | None:
    """What a socket that does not get on waits for; None: it gets on, or is no connection."""
    if state in (LISTEN, TIME_WAIT):
        return None
    if state == SYN_SENT:
        return "answer" if retransmits else None
    if timer == TIMER_OF_PROBES:
        return "window"
    if retransmits >= _LONG_WITHOUT_ACK:
        return "acknowledgement"
    return "reader" if unread_bytes >= _MUCH_UNREAD_BYTES else None


def connection_events(now: int, connections: Sequence[Connection]) -> list[TcpConnection]:
    """The events of connections that do not get on: at most 64, those that were sent again most often first."""
    chosen = sorted(connections, key=lambda connection: -connection.retransmits)[:_MOST_CONNECTIONS]
    return [
        TcpConnection(
            now,
            *connection.local,
            *connection.peer,
            STATES.get(connection.state),
            connection.waits_for,
            unacknowledged_bytes=connection.unacknowledged_bytes,
            unread_bytes=connection.unread_bytes,
            retransmits=connection.retransmits,
            inode=connection.inode,
        )
        for connection in chosen
    ]
