"""Segments that have to be sent again though nothing on this machine is seen to drop them: what else may be why."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Protocol

from kernelsight.diagnosis.mechanism import Check, Explanation
from kernelsight.diagnosis.mechanisms.connections_cut_off import cut_off
from kernelsight.diagnosis.mechanisms.packets_dropped_on_the_way import dropped_on_the_way
from kernelsight.diagnosis.model import Entity, Step
from kernelsight.diagnosis.packets import drops, full_queues, interface_of
from kernelsight.diagnosis.remedies import LOOK
from kernelsight.diagnosis.threshold import Threshold
from kernelsight.diagnosis.window import Interval, Window
from kernelsight.events.qdisc import Qdisc
from kernelsight.signals.rules.tcp import RETRANSMITTED_PERCENT

SENT_AGAIN_SHARE = Threshold(
    0.5 * RETRANSMITTED_PERCENT / 100,
    "share of the segments sent",
    because="judged: half of what the signal `retransmissions` is raised for is enough here, as other checks exclude "
    "what else it may be. At 1 % TCP gets 12 segments a round trip (Mathis et al., 1997)",
)
OF_LISTENERS_SHARE = Threshold(
    0.5,
    "share of the segments sent again",
    because="judged: where full listeners drop as many, most of what is sent again was for them",
)


@dataclass(frozen=True, slots=True)
class OtherCauses:
    """What else segments may be sent again for."""

    queue_is_full: bool
    """A queue in front of the interface, which loses by itself (`bandwidth_saturation`)."""
    dropped_here: bool
    """A rule, damage or a slow reader on this machine."""
    seen_on_loopback: bool | None
    """Drops are seen at loopback, by which they were sent; None: they were sent by another interface."""


class SentAgain(Protocol):
    """Segments that were sent again."""

    @property
    def causes(self) -> OtherCauses:
        """What else it may be for."""
        ...

    @property
    def segments(self) -> float:
        """How many were sent again."""
        ...

    @property
    def dropped_by_listeners(self) -> float:
        """Packets that listeners dropped meanwhile as their queues were full."""
        ...


def other_causes(window: Window, run: Interval, interface: str, *, is_known: bool = True) -> OtherCauses:
    """What else was seen within a stretch.

    Args:
        window: where.
        run: the stretch.
        interface: by which the segments were sent.
        is_known: whether that is known, and not only likely; else a full queue at any may be why.
    """
    queues = [queue for queue in window.once(full_queues) if queue.interface == interface or not is_known]
    unread = any(
        cause == "reader" and not str(row.location).startswith("udp")
        for (cause, _), rows in window.once(drops).items()
        for row in window.within(rows, run)
    )
    return OtherCauses(
        queue_is_full=any(queue.run.overlaps(run) for queue in queues),
        dropped_here=unread or bool(window.once(dropped_on_the_way) or window.once(cut_off)),
        seen_on_loopback=_seen_on_loopback(window, run) if interface == "lo" else None,
    )


def _seen_on_loopback(window: Window, run: Interval) -> bool:
    deltas = window.during(window.deltas(Qdisc).get(("lo", "root"), ()), run)
    queue = sum(delta.of(Qdisc.drops) for delta in deltas)
    return queue > 0 or any(window.within(rows, run) for (_, name), rows in window.once(drops).items() if name == "lo")


def explanation(
    interface: str, onset_ns: int, victims: tuple[Entity, ...], path: tuple[Step, ...], *, detail: str
) -> Explanation:
    """They are lost beyond this machine, on the way that begins at an interface."""
    culprit = interface_of(interface)
    return Explanation(
        culprit=culprit,
        onset_ns=onset_ns,
        victims=victims,
        does="leads to where segments are lost",
        detail=detail,
        harm="sends segments again",
        suffering_s=0.0,
        path=path,
        refuted_by="the segments have arrived and only their acknowledgements are late",
        outlook="connections over it stay slow",
        actions=(
            LOOK.on(culprit, f"check the link of {interface} and the way beyond it: nothing here says where "
                     "the packets are lost"),
        ),
    )  # fmt: skip


NO_FULL_QUEUE: Check[SentAgain] = Check(
    id="no_full_queue",
    says="no queue in front of the interface is full",
    holds=lambda suspect: not suspect.causes.queue_is_full,
    supports=0.5,
    refutes=4.0,
    because="judged: a full queue drops what is sent again, and that is no loss elsewhere (`bandwidth_saturation`; "
    "recorded: `one_wire_loses_another_is_full`)",
)
NOT_DROPPED_HERE: Check[SentAgain] = Check(
    id="not_dropped_here",
    says="nothing on this machine is seen to drop them",
    holds=lambda suspect: not suspect.causes.dropped_here,
    supports=0.5,
    refutes=3.0,
    because="judged: what is seen to drop packets is likelier than something that is not seen (recorded: "
    "`neighbour_drops_some`)",
)
NOT_FOR_LISTENERS: Check[SentAgain] = Check(
    id="not_for_listeners",
    says="they were not for a listener whose queue is full",
    holds=lambda suspect: suspect.dropped_by_listeners < OF_LISTENERS_SHARE * suspect.segments,
    supports=0.0,
    refutes=4.0,
    because="judged: a full listener drops the end of a handshake, and what follows that is sent for nothing "
    "(`listen_overflow`)",
)
NOT_ON_LOOPBACK: Check[SentAgain] = Check(
    id="not_on_loopback",
    says="drops are seen on loopback, which has no wire",
    holds=lambda suspect: suspect.causes.seen_on_loopback,
    supports=0.0,
    refutes=8.0,
    because="calculated: loopback hands each packet to its receiver, and whoever drops it there is seen",
)
