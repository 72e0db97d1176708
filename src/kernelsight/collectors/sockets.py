"""TCP sockets as a source describes them, and the events that are made from them."""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

from kernelsight.collectors.sockstat import TcpTotals
from kernelsight.events.tcp import Tcp, TcpListener
from kernelsight.linux.sockets import STATES

_INVENTORY_NS = 10_000_000_000
_MOST_LISTENERS = 64


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
        before, self._queued = self._queued, frozenset(one.inode for one in listeners if one.accept_queue)
        chosen = [one for one in listeners if everything or one.accept_queue or one.inode in before]
        chosen.sort(key=lambda one: (-one.accept_queue, one.port, one.address))
        return [
            TcpListener(
                now,
                address=one.address,
                port=one.port,
                accept_queue=one.accept_queue,
                backlog=one.backlog,
                inode=one.inode,
            )
            for one in chosen[:_MOST_LISTENERS]
        ]
