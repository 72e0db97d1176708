"""Interfaces that carry all that they can or may, while packets wait in front of them."""

from __future__ import annotations

import statistics
from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from kernelsight.diagnosis.connections import holders, slower_claims, stuck
from kernelsight.diagnosis.faults.bandwidth_saturation import BANDWIDTH_SATURATION
from kernelsight.diagnosis.identity import process_entity
from kernelsight.diagnosis.mechanism import Check, Explanation, Mechanism, claim, path
from kernelsight.diagnosis.model import Entity, Proposal, Step
from kernelsight.diagnosis.packets import (
    LEAST_LOST_PACKETS,
    FullQueue,
    full_queues,
    interface_of,
    owners,
    sent_again,
)
from kernelsight.diagnosis.remedies import LOOK
from kernelsight.diagnosis.threshold import Threshold
from kernelsight.diagnosis.window import Window, samples_of
from kernelsight.events.packet_drop import PacketDrop
from kernelsight.events.process import SocketOwner
from kernelsight.events.qdisc import Qdisc
from kernelsight.events.tcp import TcpConnection, TcpRetransmitEvent
from kernelsight.quantities import quantity

WAITS_SHARE = Threshold(
    0.5,
    "share of the samples",
    because="judged: a queue that is empty in most samples holds bursts, as it is there for",
)
STEADY_SHARE = Threshold(
    0.25,
    "standard deviation over mean of the bytes a second",
    because="judged: a saturated interface carries the same from second to second; traffic with pauses varies by more",
)
SHAPED_SHARE = Threshold(
    0.8,
    "share of the rate that it is shaped to",
    because="judged: headers, and seconds that are not whole, take the rest. The signal `interface_full_tx` is raised "
    "at 90 % of a link's speed, which is without a queue to show that there is no more",
)
DEEP_S = Threshold(
    0.1,
    "s in the queue",
    because="CoDel lets packets wait for 5 ms, and drops where all of 100 ms wait longer (RFC 8289); what answers a "
    "person within 100 ms seems to do so at once (Nielsen, Usability Engineering, 1993)",
)


@dataclass(frozen=True, slots=True)
class Saturated:
    """A stretch in which packets waited in front of an interface, or did not fit into its queue."""

    queue: FullQueue
    waits_share: float
    """Of the samples, the share in which something waited."""
    dropped: float
    """Packets that did not fit."""
    rate_mean: float | None
    """Bytes a second that it let through; None: it is of another network namespace."""
    rate_spread: float
    """Standard deviation of them from second to second."""
    rate_limit: float | None
    """What it is shaped to (B/s), where that is known."""
    senders: Sequence[Entity]
    """Processes that send by it, the most first."""
    slowed: Sequence[TcpConnection]
    """Connections of others whose round trips take long meanwhile."""


def measure(window: Window) -> Iterable[Saturated]:
    """Each interface and stretch in which its queue was full, or never empty."""
    for queue in window.once(full_queues):
        rates = queue.rates[1:-1] or queue.rates  # the first and the last second are not whole
        senders = _senders(window, queue)
        late = window.within(window.once(stuck).get("round_trip", ()), queue.run)
        yield Saturated(
            queue=queue,
            waits_share=queue.waits,
            dropped=queue.dropped,
            rate_mean=statistics.fmean(rates) if rates else None,
            rate_spread=statistics.pstdev(rates) if rates else 0.0,
            rate_limit=queue.limit,
            senders=senders,
            slowed=[row for row in late if row.saddr != row.daddr and str(row.pid) not in {s.id for s in senders[:1]}],
        )


def _senders(window: Window, queue: FullQueue) -> Sequence[Entity]:
    """Processes whose packets do not fit, those that send again, and those that have something to send."""
    waiting = [row for row in window.within(window.rows(SocketOwner), queue.run) if row.send_queue_bytes]
    known = [
        *owners(queue.drops, PacketDrop.count),
        *owners(_again(window, queue), TcpRetransmitEvent.segments),
        *owners(waiting, SocketOwner.send_queue_bytes),
    ]
    senders: dict[int, Entity] = {}
    for pid, comm, _ in known:
        senders.setdefault(pid, process_entity(pid, comm))
    return list(senders.values())


def _again(window: Window, queue: FullQueue) -> list[TcpRetransmitEvent]:
    rows = window.within(window.once(sent_again), queue.run)
    return [row for row in rows if row.interface_name == queue.interface]


def _is_level(suspect: Saturated) -> bool | None:
    """Whether it carries the same from second to second, or what it is shaped to."""
    if suspect.rate_mean is None:
        return None
    if suspect.rate_limit and suspect.rate_mean >= SHAPED_SHARE * suspect.rate_limit:
        return True
    return suspect.rate_mean > 0 and suspect.rate_spread <= STEADY_SHARE * suspect.rate_mean


def explain(window: Window, suspect: Saturated) -> Explanation:
    """The largest sender wants more than the interface can carry."""
    queue = suspect.queue
    interface = interface_of(queue.interface)
    culprit, *others = suspect.senders or [interface]
    slowed = holders(suspect.slowed)
    return Explanation(
        culprit=culprit,
        onset_ns=window.at(queue.run.first),
        victims=tuple(dict.fromkeys((*slowed, *others)))[:5],
        does=f"sends more than {interface.name} can carry" if suspect.senders else "is full",
        detail="" if suspect.rate_mean is None else f"it carries {quantity(suspect.rate_mean, 'B/s')}",
        harm="waits in the same queue",
        suffering_s=0.0,
        path=path(
            *slower_claims(window, suspect.slowed),
            *_sender_claims(window, culprit, queue),
            *_queue_claims(window, suspect),
        ),
        refuted_by=f"the queue in front of {interface.name} is as long when {culprit.name} sends less",
        outlook=f"all packets that leave by {interface.name} wait or are lost",
        actions=(
            LOOK.on(culprit, f"let {culprit.name} send less, or later"),
            LOOK.on(interface, f"raise the rate of {interface.name}, if it is shaped"),
            *_shorter(queue),
        ),
    )


def _shorter(queue: FullQueue) -> Iterable[Proposal]:
    if (queue.delay_s or 0.0) >= DEEP_S:
        interface = interface_of(queue.interface)
        yield LOOK.on(interface, f"let less wait in the queue of {interface.name}, or use one that is fair (fq_codel)")


def _sender_claims(window: Window, sender: Entity, queue: FullQueue) -> Iterable[Step | None]:
    dropped = [row for row in queue.drops if str(row.pid) == sender.id]
    again = [row for row in _again(window, queue) if str(row.pid) == sender.id]
    waiting = [row for row in window.within(window.rows(SocketOwner), queue.run) if str(row.pid) == sender.id]
    yield claim(
        f"packets of {sender.name} did not fit into the queue in front of {queue.interface}",
        window.evidence(dropped, PacketDrop.count, "sum"),
    )
    yield claim(
        f"{sender.name} retransmitted segments by {queue.interface}",
        window.evidence(again, TcpRetransmitEvent.segments, "sum"),
    )
    yield claim(
        f"{sender.name} has data in its send queues that has not left yet",
        window.evidence(waiting, SocketOwner.send_queue_bytes, "max"),
    )


def _queue_claims(window: Window, suspect: Saturated) -> Iterable[Step | None]:
    queue = suspect.queue
    rows = samples_of(queue.changes)
    if not rows:
        yield claim(
            f"{suspect.dropped:.0f} packets did not fit into the queue in front of {queue.interface}, which is in "
            "another network namespace",
            window.evidence(queue.drops, PacketDrop.count, "sum"),
        )
        return
    yield claim(
        f"packets waited in front of {queue.interface} in {100 * suspect.waits_share:.0f} % of the samples, and "
        f"{suspect.dropped:.0f} did not fit",
        window.evidence(rows, Qdisc.backlog_bytes, "mean"),
        window.evidence(rows, Qdisc.drops, "increase"),
    )
    if (queue.delay_s or 0.0) >= DEEP_S:
        yield claim(
            f"each packet waits {quantity(1e3 * (queue.delay_s or 0.0), 'ms')} in the queue in front of "
            f"{queue.interface}, which is far too deep (bufferbloat)",
            window.evidence(rows, Qdisc.backlog_bytes, "mean"),
            window.evidence(rows, Qdisc.sent_bytes, "increase"),
        )
    limit = f" of the {queue.limit * 8 / 1e6:.1f} Mbit/s that it is shaped to" if queue.limit else ""
    yield claim(
        f"{queue.interface} carried {statistics.fmean(queue.rates) * 8 / 1e6:.1f} Mbit/s{limit}",
        window.evidence(rows, Qdisc.sent_bytes, "increase"),
    )


MECHANISM = Mechanism[Saturated](
    fault=BANDWIDTH_SATURATION,
    summary="Programs send more than an interface can or may carry. Packets wait in the queue in front of it, or do "
    "not fit and are lost.",
    measure=measure,
    checks=(
        Check(
            id="queue_is_full",
            says="packets wait in front of it most of the time, or do not fit",
            holds=lambda suspect: suspect.waits_share >= WAITS_SHARE or suspect.dropped >= LEAST_LOST_PACKETS,
            supports=2.5,
            refutes=4.0,
            because="judged: it is what the fault consists of, as the kernel counts it (qdisc backlog and drops)",
        ),
        Check(
            id="rate_is_level",
            says="it carries the same in every second, or the rate that it is shaped to",
            holds=_is_level,
            supports=1.5,
            refutes=1.0,
            because="judged: what is at its limit does not vary; with many senders that react to loss, it may",
        ),
    ),
    explain=explain,
)
