"""Segments that have to be sent again, by the counters of the machine: no tracer says by which interface."""

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
from kernelsight.diagnosis.packets import LASTS_S, LEAST_LOST_PACKETS, carried, packets
from kernelsight.diagnosis.window import CounterDelta, Interval, Window, runs, samples_of
from kernelsight.events.network import Network
from kernelsight.events.tcp import TcpRetransmit, TcpRetransmitEvent
from kernelsight.quantities import number


@dataclass(frozen=True, slots=True)
class Counted:
    """What TCP counted in a stretch of seconds in which it sent data again."""

    interface: str
    """The one that sent most packets: the likeliest."""
    run: Interval
    sent: float
    """Segments."""
    sent_again: float
    """Segments that were sent again."""
    requests: float
    """Of these, requests for a connection."""
    dropped_by_listeners: float
    """Connections that listeners refused meanwhile as their queues were full."""
    causes: OtherCauses
    deltas: Sequence[CounterDelta[TcpRetransmit]]

    @property
    def segments(self) -> float:
        """Segments with data that were sent again."""
        return self.sent_again - self.requests


def measure(window: Window) -> Iterable[Counted]:
    """Each stretch in which data was sent again; none where a tracer sees what is."""
    if window.rows(TcpRetransmitEvent):
        return
    deltas = [delta for of_one in window.deltas(TcpRetransmit).values() for delta in of_one]
    counts = {
        window.second(delta.after): delta.of(TcpRetransmit.retrans_segs) - delta.of(TcpRetransmit.syn_retrans)
        for delta in deltas
    }
    for run in runs(counts, lambda count: count > 0, least=int(LASTS_S), gap=2):
        interface = _busiest(window, run)
        if interface is not None:
            yield _counted(window, window.during(deltas, run), run, interface)


def _counted(window: Window, deltas: Sequence[CounterDelta[TcpRetransmit]], run: Interval, interface: str) -> Counted:
    refused = (max(delta.of(TcpRetransmit.listen_overflows), delta.of(TcpRetransmit.listen_drops)) for delta in deltas)
    return Counted(
        interface=interface,
        run=run,
        sent=sum(delta.of(TcpRetransmit.out_segs) for delta in deltas),
        sent_again=sum(delta.of(TcpRetransmit.retrans_segs) for delta in deltas),
        requests=sum(delta.of(TcpRetransmit.syn_retrans) for delta in deltas),
        dropped_by_listeners=sum(refused),
        causes=other_causes(window, run, interface, is_known=False),
        deltas=deltas,
    )


def _busiest(window: Window, run: Interval) -> str | None:
    """The interface that sent most packets; that of loopback only where no other sent any."""
    sent = {name: packets(carried(window, name, run), "tx") for (name,) in window.deltas(Network)}
    others = {name: count for name, count in sent.items() if count and name != "lo"} or sent
    return max(others, key=lambda name: others[name], default=None)


def explain(window: Window, suspect: Counted) -> Explanation:
    """They are lost beyond this machine; by which interface is likely and not known."""
    counted, traffic = samples_of(suspect.deltas), samples_of(carried(window, suspect.interface, suspect.run))
    return explanation(
        suspect.interface,
        window.at(suspect.run.first),
        (),
        path(
            claim(
                f"TCP retransmitted {suspect.sent_again:.0f} of {suspect.sent:.0f} segments in {suspect.run.seconds} "
                f"s, "
                f"{suspect.requests:.0f} of them to ask for connections",
                window.evidence(counted, TcpRetransmit.retrans_segs, "increase"),
                window.evidence(counted, TcpRetransmit.syn_retrans, "increase"),
                window.evidence(counted, TcpRetransmit.out_segs, "increase"),
            ),
            claim(
                f"{suspect.interface} sent most packets of all interfaces, so the loss is likely beyond it",
                window.evidence(traffic, Network.tx_packets, "increase"),
            ),
        ),
        detail=f"TCP sent {number(suspect.sent_again)} of {number(suspect.sent)} again in {suspect.run.seconds} s",
    )


MECHANISM = Mechanism[Counted](
    fault=PACKET_LOSS,
    summary="TCP counts many segments that it has to send again, and nothing on this machine is seen to drop them. No "
    "tracer runs, so the interface can only be guessed.",
    measure=measure,
    checks=(
        Check(
            id="good_part",
            says="TCP retransmits a good part of the segments",
            holds=lambda suspect: (
                suspect.segments >= LEAST_LOST_PACKETS and suspect.segments >= SENT_AGAIN_SHARE * suspect.sent
            ),
            supports=2.5,
            refutes=4.0,
            because="judged: it is what the fault consists of, as TCP counts it for the machine; it is all that there "
            "is to go by without a tracer, so it counts for more than there",
        ),
        NO_FULL_QUEUE,
        NOT_DROPPED_HERE,
        NOT_FOR_LISTENERS,
        NOT_ON_LOOPBACK,
    ),
    explain=explain,
)
