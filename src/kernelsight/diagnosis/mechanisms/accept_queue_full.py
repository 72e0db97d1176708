"""Listeners of this network namespace whose accept queue is full."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from kernelsight.diagnosis.backlogs import callers, explanation, refused
from kernelsight.diagnosis.faults.listen_overflow import LISTEN_OVERFLOW
from kernelsight.diagnosis.identity import process_entity
from kernelsight.diagnosis.mechanism import Check, Explanation, Mechanism, claim, path
from kernelsight.diagnosis.model import Entity
from kernelsight.diagnosis.threshold import Threshold
from kernelsight.diagnosis.window import CounterDelta, Window, grouped_by, samples_of
from kernelsight.events.tcp import TcpListener, TcpRetransmit
from kernelsight.signals.rules.tcp import ACCEPT_QUEUE_FULL_PERCENT

FULL_SHARE = Threshold(
    ACCEPT_QUEUE_FULL_PERCENT / 100,
    "share of the backlog",
    because="listen(2): what comes beyond it is refused. The signal `accept_queue_full` is critical from there on",
)
HALF_FULL_SHARE = Threshold(
    0.5,
    "share of the backlog",
    because="judged: a queue is looked at once a second; one that is emptier each time is not the one that overflows",
)
LEAST_OVERFLOWS = Threshold(
    1,
    "connections",
    because="judged: each is a client that waits for a second or more. The signal `listen_overflow` is raised by one "
    "in two seconds",
)


@dataclass(frozen=True, slots=True)
class AcceptQueue:
    """The accept queue of a listener while connections were refused."""

    listener: Entity
    """The process that should accept; where that is not known, the socket."""
    port: int | None
    overflows: float
    """Connections that found a queue full, of all listeners of this network namespace."""
    fill: float
    """Share of its backlog that was taken, at most; it may hold one more."""
    fullest: float
    """The same of the listener whose queue was fullest."""
    queue: Sequence[TcpListener]
    """What was seen of it, by time."""
    refused: Sequence[CounterDelta[TcpRetransmit]]


def measure(window: Window) -> Iterable[AcceptQueue]:
    """Each listener with something in its queue, while connections are refused."""
    refusals = refused(window)
    if not refusals:
        return
    overflows = sum(delta.of(TcpRetransmit.listen_overflows) for delta in refusals)
    waiting = (row for row in window.rows(TcpListener) if row.accept_queue)
    queues = grouped_by(waiting, lambda row: (row.address, row.port))
    fullest = max((_fill(rows) for rows in queues.values()), default=0.0)
    for (address, port), rows in queues.items():
        last, place = rows[-1], f"{address}:{port}"
        owner = process_entity(last.pid, last.comm) if last.pid is not None else None
        yield AcceptQueue(
            listener=owner or Entity("listener", place, place),
            port=port,
            overflows=overflows,
            fill=_fill(rows),
            fullest=fullest,
            queue=rows,
            refused=refusals,
        )


def _fill(rows: Sequence[TcpListener]) -> float:
    fills = [float(row.accept_queue or 0) / max(row.backlog, 1) for row in rows if row.backlog is not None]
    return max(fills, default=0.0)


def explain(window: Window, suspect: AcceptQueue) -> Explanation:
    """The listener does not accept what is in its queue, and what comes then is refused."""
    counted, rows, listener = samples_of(suspect.refused), suspect.queue, suspect.listener
    most = max(row.accept_queue or 0 for row in rows)
    return explanation(
        listener,
        suspect.refused[0].after.timestamp,
        callers(window, suspect.port),
        path(
            claim(
                f"{suspect.overflows:.0f} connections found a queue full",
                window.evidence(counted, TcpRetransmit.listen_overflows, "increase"),
            ),
            claim(
                f"{listener.name} accepts too slowly: up to {most} connections wait at port {suspect.port}, "
                f"whose backlog is {rows[-1].backlog}",
                window.evidence(rows, TcpListener.accept_queue, "max"),
                window.evidence(rows, TcpListener.backlog, "last"),
            ),
        ),
        detail=f"up to {most} wait in a queue of {rows[-1].backlog}",
    )


MECHANISM = Mechanism[AcceptQueue](
    fault=LISTEN_OVERFLOW,
    summary="A listener accepts connections more slowly than they come. Its accept queue is full, and the kernel "
    "refuses more.",
    measure=measure,
    checks=(
        Check(
            id="overflows",
            says="connections find a queue full",
            holds=lambda suspect: suspect.overflows >= LEAST_OVERFLOWS,
            supports=2.0,
            refutes=3.0,
            because="judged: the kernel counts them (ListenOverflows); other connections are refused for other "
            "reasons, such as too many half-open ones",
        ),
        Check(
            id="seen_full",
            says="the queue of port {port} was seen full",
            holds=lambda suspect: suspect.fill >= FULL_SHARE,
            supports=2.0,
            refutes=0.5,
            because="judged: a full queue is nearly proof; a queue that is emptied between two looks may overflow, too "
            "(recorded: `slow_accepts_beside_a_backup`)",
        ),
        Check(
            id="half_full",
            says="that queue is at least half full",
            holds=lambda suspect: suspect.fill >= HALF_FULL_SHARE,
            supports=0.5,
            refutes=2.0,
            because="judged: a queue that is nearly empty whenever it is looked at has a listener that keeps up",
        ),
        Check(
            id="fullest",
            says="no other listener's queue is fuller",
            holds=lambda suspect: suspect.fill >= min(suspect.fullest, FULL_SHARE),
            supports=0.5,
            refutes=2.0,
            because="judged: the kernel does not count whose queue overflows, and the fullest is the likeliest",
        ),
    ),
    explain=explain,
)
