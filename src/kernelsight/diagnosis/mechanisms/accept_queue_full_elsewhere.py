"""Listeners of any network namespace for which the kernel drops connections, as their queue is full."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from kernelsight.diagnosis.backlogs import callers, explanation
from kernelsight.diagnosis.faults.listen_overflow import LISTEN_OVERFLOW
from kernelsight.diagnosis.identity import process_entity
from kernelsight.diagnosis.mechanism import Check, Explanation, Mechanism, Prior, claim, path
from kernelsight.diagnosis.model import Entity
from kernelsight.diagnosis.packets import FULL_LISTENER
from kernelsight.diagnosis.threshold import Threshold
from kernelsight.diagnosis.window import Window, grouped_by
from kernelsight.events.packet_drop import PacketDrop
from kernelsight.events.tcp import TcpListener
from kernelsight.quantities import number

LEAST_S = Threshold(2, "seconds", because="judged: within a single second it is one burst")


@dataclass(frozen=True, slots=True)
class Refusing:
    """A listener for which connections were dropped, as its queue was full."""

    listener: Entity
    seconds: int
    """In which any was; each interface and place in the kernel counts by itself."""
    drops: Sequence[PacketDrop]


def measure(window: Window) -> Iterable[Refusing]:
    """Each listener for which any was dropped, but for those whose queue is seen (`accept_queue_full`)."""
    here = {row.pid for row in window.rows(TcpListener) if row.accept_queue}
    dropped = [row for row in window.rows(PacketDrop) if row.reason == FULL_LISTENER and row.pid]
    for pid, rows in grouped_by(dropped, lambda row: row.pid).items():
        if pid not in here:
            yield Refusing(process_entity(pid, rows[-1].comm), len(rows), rows)


def explain(window: Window, suspect: Refusing) -> Explanation:
    """The listener does not accept what is in its queue, and what comes then is dropped."""
    count = sum(row.count or 0 for row in suspect.drops)
    return explanation(
        suspect.listener,
        suspect.drops[0].timestamp,
        callers(window, None),
        path(
            claim(
                f"{count} packets for a connection to {suspect.listener.name} were dropped because its queue was full",
                window.evidence(suspect.drops, PacketDrop.count, "sum"),
            )
        ),
        detail=f"{number(count)} requests found its queue full",
    )


MECHANISM = Mechanism[Refusing](
    fault=LISTEN_OVERFLOW,
    summary="The kernel drops requests for connections, because the accept queue of their listener is full. The queue "
    "itself is not seen: it is in another network namespace, or was empty at each look.",
    measure=measure,
    prior=Prior(
        2.5,
        because="judged: only a listener is a suspect for which the kernel itself says so (TCP_LISTEN_OVERFLOW, "
        "include/net/dropreason-core.h)",
    ),
    checks=(
        Check(
            id="again",
            says="it happens again and again",
            holds=lambda suspect: suspect.seconds >= LEAST_S,
            supports=1.0,
            refutes=1.0,
            because="judged: a listener that accepts too slowly overflows second after second, and a burst does so "
            "once",
        ),
    ),
    explain=explain,
)
