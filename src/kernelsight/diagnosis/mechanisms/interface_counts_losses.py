"""Interfaces that themselves count lost packets."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from kernelsight.diagnosis.faults.packet_loss import PACKET_LOSS
from kernelsight.diagnosis.mechanism import Check, Explanation, Mechanism, claim, path
from kernelsight.diagnosis.packets import LASTS_S, drops, interface_of, packets, sent_again, sent_again_claim, victims
from kernelsight.diagnosis.remedies import LOOK
from kernelsight.diagnosis.threshold import Threshold
from kernelsight.diagnosis.window import CounterDelta, Interval, Window, runs, samples_of
from kernelsight.events.fields import Metric, name_of
from kernelsight.events.network import Network
from kernelsight.events.tcp import TcpRetransmitEvent
from kernelsight.quantities import number
from kernelsight.signals.rules.network import INTERFACE_DROPS_PERCENT, PACKETS_LOST_PER_S

COUNTED_PER_S = Threshold(
    PACKETS_LOST_PER_S,
    "packets/s",
    because="judged: interfaces count what nobody wanted, too (unknown protocols), and that is less. From as many on, "
    "the signal `packets_lost` is raised",
)
COUNTED_SHARE = Threshold(
    INTERFACE_DROPS_PERCENT / 100,
    "share of the packets one way",
    because="calculated: TCP's rate falls with the root of the loss (Mathis et al., 1997): at 1 % to 12 segments a "
    "round trip. From this share on, the signal `interface_drops` is raised",
)
_COUNTERS: Sequence[Metric[Network]] = (Network.rx_errors, Network.tx_errors, Network.rx_drops, Network.tx_drops)


@dataclass(frozen=True, slots=True)
class Counted:
    """What one counter of an interface says was lost in a stretch of seconds."""

    interface: str
    run: Interval
    counter: Metric[Network]
    is_error: bool
    """A bad frame, and not one for which there was no room or no use."""
    lost: float
    """Packets."""
    carried: float
    """Packets that the interface carried the same way."""
    sent_again: int
    """Packets that were sent again meanwhile."""
    has_other_cause: bool
    """The kernel names a cause for packets that are dropped at this interface."""
    again: Sequence[TcpRetransmitEvent]
    deltas: Sequence[CounterDelta[Network]]


def measure(window: Window) -> Iterable[Counted]:
    """Each interface, counter of losses and stretch in which it grew a good deal."""
    for (interface,), deltas in window.deltas(Network).items():
        for counter in _COUNTERS:
            rates = {window.second(delta.after): delta.of(counter) / delta.seconds for delta in deltas}
            for run in runs(rates, lambda rate: rate >= COUNTED_PER_S, least=int(LASTS_S), gap=2):
                within = window.during(deltas, run)
                name, again = name_of(counter), window.within(window.once(sent_again), run)
                yield Counted(
                    interface=str(interface),
                    run=run,
                    counter=counter,
                    is_error=name.endswith("errors"),
                    lost=sum(delta.of(counter) for delta in within),
                    carried=packets(within, "rx" if name.startswith("rx") else "tx"),
                    sent_again=len(again),
                    has_other_cause=any(place == interface for _, place in window.once(drops)),
                    again=again,
                    deltas=within,
                )


def explain(window: Window, suspect: Counted) -> Explanation:
    """The link, the card or its driver loses packets."""
    culprit, name = interface_of(suspect.interface), suspect.interface
    return Explanation(
        culprit=culprit,
        onset_ns=window.at(suspect.run.first),
        victims=victims(suspect.again),
        does="loses packets",
        detail=f"it counted {number(suspect.lost)} {name_of(suspect.counter)} in {suspect.run.seconds} s",
        harm="sends segments again",
        suffering_s=0.0,
        path=path(
            sent_again_claim(window, suspect.again),
            claim(
                f"{name} counted {suspect.lost:.0f} {name_of(suspect.counter)} in {suspect.run.seconds} s, beside "
                f"{suspect.carried:.0f} packets",
                window.evidence(samples_of(suspect.deltas), suspect.counter, "increase"),
            ),
        ),
        refuted_by=f"the counters of {name} stand still and as much is lost",
        outlook="these packets stay lost, or are sent again",
        actions=(LOOK.on(culprit, f"check the cable, the driver and the rings of {name}"),),
    )


MECHANISM = Mechanism[Counted](
    fault=PACKET_LOSS,
    summary="A link damages frames, or a card has no room for what comes in, and the interface counts it.",
    measure=measure,
    checks=(
        Check(
            id="good_part",
            says="they are a good part of the packets that it carries",
            holds=lambda suspect: suspect.lost >= COUNTED_SHARE * suspect.carried,
            supports=1.5,
            refutes=4.0,
            because="judged: what is nothing beside what is carried slows nobody; it is twice the share that is asked "
            "of packets whose cause the kernel names, as interfaces count what nobody wanted, too",
        ),
        Check(
            id="errors_or_missed",
            says="they are errors, or somebody misses them",
            holds=lambda suspect: suspect.is_error or suspect.sent_again > 0,
            supports=1.0,
            refutes=1.0,
            because="judged: a bad frame was meant for somebody, and a drop may be of what nobody wanted",
        ),
        Check(
            id="no_other_cause",
            says="the kernel names no other cause for drops there",
            holds=lambda suspect: not suspect.has_other_cause,
            supports=0.5,
            refutes=3.0,
            because="judged: interfaces count packets, too, that the kernel drops for a reason that it names; then "
            "that is the cause (`packets_dropped_on_the_way`)",
        ),
    ),
    explain=explain,
)
