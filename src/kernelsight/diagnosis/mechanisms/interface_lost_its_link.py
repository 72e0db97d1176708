"""Interfaces that should be up and have no link: a cable, a switch or the other end is gone."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from kernelsight.diagnosis.faults.packet_loss import PACKET_LOSS
from kernelsight.diagnosis.kernel_log import messages, said
from kernelsight.diagnosis.mechanism import Check, Explanation, Mechanism, claim, path
from kernelsight.diagnosis.packets import interface_of, victims
from kernelsight.diagnosis.phrases import times
from kernelsight.diagnosis.remedies import LOOK
from kernelsight.diagnosis.samples import Samples
from kernelsight.diagnosis.threshold import Threshold
from kernelsight.diagnosis.window import NS_PER_S, CounterDelta, Window
from kernelsight.events.hardware import Link
from kernelsight.events.kernel_message import KernelMessage
from kernelsight.events.network import Network
from kernelsight.events.tcp import TcpRetransmitEvent

USED_PER_S = Threshold(
    1.0, "packets/s", because="judged: less is what hosts and switches say of themselves, and nobody waits for it"
)
AGAIN = Threshold(
    2, "times", because="judged: a link that goes once and comes back was plugged in anew; one that flaps is broken"
)
CURRENT_S = Threshold(
    12.0,
    "s",
    because="every interface has a row at least every 10 s; one that has none any more was removed, as that of a "
    "container that has ended",
)
TAKEN_OVER_SHARE = Threshold(
    0.5, "share of the packets before", because="judged: so much more elsewhere is most of what it carried itself"
)
_OF_OTHERS = frozenset({"bridge", "bond", "vlan", "macvlan"})
"""Types of interfaces that have a link while one below them has (Documentation/networking/operstates.rst)."""
_NO_LINK = frozenset({"down", "lowerlayerdown"})


@dataclass(frozen=True, slots=True)
class LostLink:
    """An interface whose link went while it should be up."""

    interface: str
    onset_ns: int
    times: float
    """How often the link went."""
    is_down: bool
    """Whether it has none at the end, and the interface is still there."""
    packets_per_s: float | None
    """Packets before that, both ways; None: nothing was recorded before."""
    more_elsewhere_per_s: float
    """Packets by which other interfaces carry more since."""
    device_type: str | None
    rows: Sequence[Link]
    again: Sequence[TcpRetransmitEvent]
    """Packets that were sent again by this interface since."""
    messages: Sequence[KernelMessage]

    @property
    def was_used(self) -> bool | None:
        """Whether it carried packets before; None where that is not known."""
        return None if self.packets_per_s is None else self.packets_per_s >= USED_PER_S

    @property
    def is_of_others(self) -> bool:
        """Whether its link is that of interfaces below it."""
        return self.device_type in _OF_OTHERS

    @property
    def is_taken_over(self) -> bool | None:
        """Whether another interface carries its packets now; None where it is not known what it carried."""
        if self.packets_per_s is None:
            return None
        return self.more_elsewhere_per_s >= max(TAKEN_OVER_SHARE * self.packets_per_s, USED_PER_S)

    @property
    def is_missed(self) -> bool:
        """Whether programs send packets again that should leave by it."""
        return bool(self.again)


def measure(window: Window) -> Iterable[LostLink]:
    """Each interface whose link went within the window, but for those that somebody took down."""
    for (interface,), samples in window.samples(Link).items():
        # An interface whose link stays as it is has a row every 10 s: the one before may lie before the window.
        grown = samples.grown(Link.carrier_downs)
        lost = [
            place
            for place, row in enumerate(samples.rows)
            if place and row.timestamp >= window.when.start_ns and grown[place] > 0 and row.is_up
        ]
        if lost and isinstance(interface, str):
            yield _lost(window, interface, samples, lost)


def _lost(window: Window, interface: str, samples: Samples[Link], lost: Sequence[int]) -> LostLink:
    rows = samples.rows[lost[0] - 1 : lost[-1] + 1]
    onset_ns = rows[1].timestamp
    last = window.series(Link)[interface,][-1]
    is_current = window.when.end_ns - last.timestamp <= CURRENT_S * NS_PER_S
    return LostLink(
        interface,
        onset_ns,
        times=sum(samples.grown(Link.carrier_downs)[place] for place in lost),
        is_down=is_current and bool(last.is_up) and last.operstate in _NO_LINK,
        packets_per_s=_before(window, interface, onset_ns),
        more_elsewhere_per_s=_more_elsewhere(window, interface, onset_ns),
        device_type=last.device_type,
        rows=rows,
        again=[
            row
            for row in window.rows(TcpRetransmitEvent)
            if row.interface_name == interface and row.timestamp >= onset_ns - NS_PER_S
        ],
        messages=[row for row in messages(window, "link_down") if row.interface_name == interface],
    )


def _before(window: Window, interface: str, until_ns: int) -> float | None:
    return _per_s(delta for delta in window.deltas(Network).get((interface,), ()) if delta.after.timestamp < until_ns)


def _more_elsewhere(window: Window, interface: str, onset_ns: int) -> float:
    """The largest increase of packets a second of another interface since a moment; loopback leads nowhere."""
    more = 0.0
    for (other,), deltas in window.deltas(Network).items():
        if other not in {interface, "lo"}:
            before = _per_s(delta for delta in deltas if delta.after.timestamp < onset_ns) or 0.0
            since = _per_s(delta for delta in deltas if delta.before.timestamp >= onset_ns) or 0.0
            more = max(more, since - before)
    return more


def _per_s(deltas: Iterable[CounterDelta[Network]]) -> float | None:
    known = [*deltas]
    seconds = sum(delta.seconds for delta in known)
    packets = sum(delta.of(Network.rx_packets) + delta.of(Network.tx_packets) for delta in known)
    return packets / seconds if seconds else None


def explain(window: Window, suspect: LostLink) -> Explanation:
    """What the interface is connected to is to be looked at."""
    culprit, name = interface_of(suspect.interface), suspect.interface
    now = "has none now" if suspect.is_down else "has one again"
    return Explanation(
        culprit=culprit,
        onset_ns=suspect.onset_ns,
        victims=victims(suspect.again),
        does="has no link" if suspect.is_down else "lost its link",
        detail=f"it was lost {times(suspect.times)}",
        harm="sends segments again",
        suffering_s=0.0,
        path=path(
            claim(
                f"programs sent {sum(row.segments or 1 for row in suspect.again)} segments again by {name}",
                window.evidence(suspect.again, TcpRetransmitEvent.segments, "sum"),
            ),
            claim(
                f"{name} lost its link {suspect.times:.0f} times while it should be up, and {now}",
                window.evidence(suspect.rows, Link.carrier_downs, "increase"),
            ),
            *said(window, suspect.messages),
        ),
        refuted_by=f"`ip link show {name}` says LOWER_UP all the time",
        outlook=f"nothing leaves or comes in by {name} while it has no link",
        actions=(LOOK.on(culprit, f"check the cable of {name}, the port of its switch, and what is at the other end"),),
    )


MECHANISM = Mechanism[LostLink](
    fault=PACKET_LOSS,
    summary="An interface that should be up loses its link: a cable, a switch or the other end is gone.",
    measure=measure,
    checks=(
        Check(
            id="stays_or_comes_again",
            says="it has no link now, or lost it again and again",
            holds=lambda suspect: suspect.is_down or suspect.times >= AGAIN,
            supports=1.0,
            refutes=4.0,
            because="judged: a link that went once and is back was plugged in anew; an interface that is gone belonged "
            "to a container that has ended",
        ),
        Check(
            id="was_used",
            says="it carried packets before",
            holds=lambda suspect: suspect.was_used,
            supports=1.5,
            refutes=3.0,
            because="judged: nobody misses a link that carried nothing",
        ),
        Check(
            id="is_missed",
            says="packets are sent again that should leave by it",
            holds=lambda suspect: suspect.is_missed,
            supports=2.0,
            refutes=1.0,
            because="judged: TCP sends again what nobody confirms; who only receives, or uses UDP, does not show it",
        ),
        Check(
            id="not_taken_over",
            says="no other interface carries its packets now",
            holds=lambda suspect: None if suspect.is_taken_over is None else not suspect.is_taken_over,
            supports=0.0,
            refutes=2.5,
            because="judged: a laptop that is taken from its cable goes on by radio, and a bond by its other member",
        ),
        Check(
            id="link_is_its_own",
            says="its link is its own, and not that of interfaces below it",
            holds=lambda suspect: not suspect.is_of_others,
            supports=0.0,
            refutes=6.0,
            because="a bridge has a link while one of its ports has (net/bridge/br_if.c): that of containers has none "
            "when the last one has ended. A wire below that goes is told of itself",
        ),
    ),
    explain=explain,
)
