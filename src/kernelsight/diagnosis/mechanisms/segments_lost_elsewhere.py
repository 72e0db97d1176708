"""Segments that have to be sent again and again by an interface, though nothing here is seen to drop them."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from kernelsight.diagnosis.faults.packet_loss import PACKET_LOSS
from kernelsight.diagnosis.lost_elsewhere import (
    NO_FULL_QUEUE,
    NOT_DROPPED_HERE,
    NOT_FOR_LISTENERS,
    NOT_ON_LOOPBACK,
    SENT_AGAIN_SHARE,
    OtherCauses,
    explanation,
    other_causes,
)
from kernelsight.diagnosis.mechanism import Check, Explanation, Mechanism, claim, path
from kernelsight.diagnosis.packets import (
    FULL_LISTENER,
    LEAST_LOST_PACKETS,
    carried,
    segments_sent,
    sent_again,
    stretches,
    victims,
)
from kernelsight.diagnosis.threshold import Threshold
from kernelsight.diagnosis.window import Interval, Window, grouped_by
from kernelsight.events.packet_drop import PacketDrop
from kernelsight.events.tcp import TcpRetransmitEvent
from kernelsight.quantities import number

GOES_ON_SHARE = Threshold(
    0.5, "share of the seconds", because="judged: a loss that lasts shows in most seconds in which anything is sent"
)


@dataclass(frozen=True, slots=True)
class Lost:
    """What was sent again by an interface in a stretch of seconds."""

    interface: str
    run: Interval
    seconds: int
    """In which anything was sent again."""
    segments: int
    """That were sent again."""
    sent: float
    """Segments that left by the interface, about."""
    dropped_by_listeners: int
    """Packets that listeners dropped meanwhile as their queues were full."""
    causes: OtherCauses
    again: Sequence[TcpRetransmitEvent]

    @property
    def seconds_share(self) -> float:
        """Of the seconds, the share in which anything was sent again."""
        return self.seconds / self.run.seconds


def measure(window: Window) -> Iterable[Lost]:
    """Each interface and stretch in which data was sent again."""
    by_listeners = [row for row in window.rows(PacketDrop) if row.reason == FULL_LISTENER]
    for interface, rows in grouped_by(window.once(sent_again), lambda row: row.interface_name).items():
        for run in stretches(window, rows, TcpRetransmitEvent.segments) if interface else ():
            within = window.within(rows, run)
            yield Lost(
                interface=interface or "",
                run=run,
                seconds=len({window.second(row) for row in within}),
                segments=sum(row.segments or 1 for row in within),
                sent=segments_sent(carried(window, interface or "", run), interface or ""),
                dropped_by_listeners=sum(row.count or 0 for row in window.within(by_listeners, run)),
                causes=other_causes(window, run, interface or ""),
                again=within,
            )


def explain(window: Window, suspect: Lost) -> Explanation:
    """They are lost beyond this machine."""
    peers = ", ".join(sorted({str(row.daddr) for row in suspect.again})[:3])
    return explanation(
        suspect.interface,
        suspect.again[0].timestamp,
        victims(suspect.again),
        path(
            claim(
                f"TCP retransmitted {suspect.segments} segments to {peers} by {suspect.interface} in "
                f"{suspect.run.seconds} s",
                window.evidence(suspect.again, TcpRetransmitEvent.segments, "sum"),
            )
        ),
        detail=f"TCP sent {number(suspect.segments)} again in {suspect.run.seconds} s",
    )


MECHANISM = Mechanism[Lost](
    fault=PACKET_LOSS,
    summary="TCP has to send segments again by an interface, and nothing on this machine is seen to drop them: the "
    "link or what lies beyond it does.",
    measure=measure,
    checks=(
        Check(
            id="goes_on",
            says="it goes on: in most seconds segments are retransmitted",
            holds=lambda suspect: suspect.seconds_share >= GOES_ON_SHARE,
            supports=1.0,
            refutes=2.0,
            because="judged: now and then, every network loses a packet",
        ),
        Check(
            id="good_part",
            says="TCP retransmits a good part of the segments",
            holds=lambda suspect: (
                suspect.segments >= LEAST_LOST_PACKETS and suspect.segments >= SENT_AGAIN_SHARE * suspect.sent
            ),
            supports=1.5,
            refutes=4.0,
            because="judged: it is what the fault consists of; the tracer sees each segment that is sent again, and "
            "the interface of its route, and below this share connections hardly lose speed",
        ),
        NO_FULL_QUEUE,
        NOT_DROPPED_HERE,
        NOT_FOR_LISTENERS,
        NOT_ON_LOOPBACK,
    ),
    explain=explain,
)
