"""Requests for connections that a listener on this machine does not accept."""

from __future__ import annotations

from kernelsight.diagnosis.identity import process_entity
from kernelsight.diagnosis.mechanism import Explanation
from kernelsight.diagnosis.model import Entity, Step
from kernelsight.diagnosis.packets import owners
from kernelsight.diagnosis.remedies import LOOK
from kernelsight.diagnosis.window import CounterDelta, Window
from kernelsight.events.tcp import TcpRetransmit, TcpRetransmitEvent


def refused(window: Window) -> list[CounterDelta[TcpRetransmit]]:
    """The samples of TCP in this network namespace before which connections were refused."""
    deltas = [delta for of_one in window.deltas(TcpRetransmit).values() for delta in of_one]
    return [
        delta for delta in deltas if delta.of(TcpRetransmit.listen_overflows) or delta.of(TcpRetransmit.listen_drops)
    ]


def callers(window: Window, port: int | None) -> tuple[Entity, ...]:
    """The processes that have to ask again for a connection."""
    asked = owners(asked_again(window, port), TcpRetransmitEvent.segments)
    return tuple(process_entity(pid, comm) for pid, comm, _ in asked)[:5]


def asked_again(window: Window, port: int | None) -> list[TcpRetransmitEvent]:
    """The requests for a connection, to a port or to any, that were sent again."""
    rows = window.rows(TcpRetransmitEvent)
    return [row for row in rows if row.state == "syn_sent" and port in (None, row.dport)]


def explanation(
    culprit: Entity, onset_ns: int, victims: tuple[Entity, ...], path: tuple[Step, ...], *, detail: str
) -> Explanation:
    """A listener accepts more slowly than connections come, and its accept queue is full."""
    name = culprit.name
    return Explanation(
        culprit=culprit,
        onset_ns=onset_ns,
        victims=victims,
        does="accepts connections too slowly",
        detail=detail,
        harm="gets its connections late, or not at all",
        suffering_s=0.0,
        path=path,
        refuted_by=f"the queue of {name} is emptied and connections are still refused",
        outlook="clients wait for their timeouts",
        actions=(LOOK.on(culprit, f"see why {name} accepts so slowly; a longer backlog gains time"),),
    )
