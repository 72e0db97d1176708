"""Packets that the kernel drops by a rule, or because they are damaged."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from kernelsight.diagnosis.connection_table import DROPPED_BY_A_HOOK, full_table
from kernelsight.diagnosis.faults.packet_loss import PACKET_LOSS
from kernelsight.diagnosis.mechanism import Check, Explanation, Mechanism, claim, path
from kernelsight.diagnosis.packets import (
    LASTS_S,
    LEAST_LOST_PACKETS,
    LOST_SHARE,
    carried,
    drops,
    full_queues,
    interface_of,
    packets,
    sent_again_claim,
    stretches,
    victims,
)
from kernelsight.diagnosis.remedies import LOOK
from kernelsight.diagnosis.threshold import Threshold
from kernelsight.diagnosis.window import CounterDelta, Interval, Window
from kernelsight.events.network import Network
from kernelsight.events.packet_drop import PacketDrop
from kernelsight.events.tcp import TcpRetransmitEvent
from kernelsight.quantities import number

MISSED_SHARE = Threshold(
    0.1,
    "share of what is dropped",
    because="judged: of what is missed, data is always sent again and acknowledgements never are; so a part of it "
    "shows",
)
SAME_SIZE_SHARE = Threshold(
    0.05,
    "share of the mean size",
    because="judged: the mean sizes of packets that belong together differ by less",
)
SENT_TIMES = Threshold(
    3.0,
    "times as many as were sent again",
    because="calculated: a request for a connection is sent and sent again at least once where it is seen to be sent "
    "again; a program that gives up after 1 to 3 s does so for most of them",
)
_ETHERNET_HEADER_BYTES = 14
"""The interface counts it, and it is taken off before a rule sees the packet."""


@dataclass(frozen=True, slots=True)
class Dropped:
    """What was dropped at an interface in a stretch of seconds, by a rule or because it was damaged."""

    interface: str
    run: Interval
    damaged: bool
    """Because of a wrong checksum or header, and not by a rule."""
    lost: int
    """Packets that were dropped."""
    carried: float | None
    """Packets that the interface carried one way, the larger of both; None: it is of another network namespace."""
    here: bool
    """A program of this machine sent them or should have got them."""
    sent_again: int
    """Packets that were sent again meanwhile, by any interface."""
    sent_again_s: int
    """Seconds in which any was."""
    like_the_others: bool
    """They are a part of what else comes in: as large, and most of that passes."""
    only_requests: bool
    """Nothing but requests for connections was sent again, and about as many packets were dropped."""
    table_is_full: bool | None
    """The table of connections is full, and drops them; None: not dropped where that table drops."""
    drops: Sequence[PacketDrop]
    again: Sequence[TcpRetransmitEvent]


def measure(window: Window) -> Sequence[Dropped]:
    """Each interface and stretch in which packets were dropped by a rule, or because they were damaged."""
    return window.once(dropped_on_the_way)


def dropped_on_the_way(window: Window) -> Sequence[Dropped]:
    """As :func:`measure`. Use with :meth:`Window.once`."""
    return list(_dropped(window))


def _dropped(window: Window) -> Iterator[Dropped]:
    for (cause, interface), rows in window.once(drops).items():
        for run in stretches(window, rows, PacketDrop.count) if cause in {"rule", "damage"} else ():
            within = window.within(rows, run)
            again = _asked_again(window, run)
            traffic = carried(window, interface, run)
            lost = sum(row.count or 0 for row in within)
            yield Dropped(
                interface=interface,
                run=run,
                damaged=cause == "damage",
                lost=lost,
                carried=max(packets(traffic, "rx"), packets(traffic, "tx")) if traffic else None,
                # What is dropped before it leaves is not sent again but tried again, and its sender waits or is told.
                here=interface == "lo" or any(row.origin == "local" or row.pid for row in within),
                sent_again=len(again),
                sent_again_s=len({window.second(row) for row in again}),
                like_the_others=_like_the_others(traffic, within),
                only_requests=_only_requests(again, lost),
                table_is_full=_table_is_full(window, within),
                drops=within,
                again=again,
            )


def _asked_again(window: Window, run: Interval) -> list[TcpRetransmitEvent]:
    """Data and requests for connections that were sent again within a stretch, and not because a queue is full."""
    full = {queue.interface for queue in window.once(full_queues) if queue.run.overlaps(run)}
    return [
        row
        for row in window.within(window.rows(TcpRetransmitEvent), run)
        if row.state != "syn_recv" and row.interface_name not in full
    ]


def _only_requests(again: Sequence[TcpRetransmitEvent], lost: int) -> bool:
    asked = sum(row.segments or 1 for row in again)
    return bool(again) and all(row.state == "syn_sent" for row in again) and lost <= SENT_TIMES * asked


def _like_the_others(traffic: Sequence[CounterDelta[Network]], dropped: Sequence[PacketDrop]) -> bool:
    """Whether what is dropped as it comes in is a part of what else comes in.

    Strangers that a firewall turns away send what nobody else sends, and all of that is dropped.
    """
    count = sum(row.count or 0 for row in dropped)
    came = packets(traffic, "rx")
    if not count or not came or count > came / 2:
        return False
    size = sum(row.bytes or 0 for row in dropped) / count
    usual = sum(delta.of(Network.rx_bytes) for delta in traffic) / came - _ETHERNET_HEADER_BYTES
    return abs(size - usual) <= SAME_SIZE_SHARE * usual


def _table_is_full(window: Window, dropped: Sequence[PacketDrop]) -> bool | None:
    if not any(row.location == DROPPED_BY_A_HOOK for row in dropped):
        return None
    table = window.once(full_table)
    return table is not None and table.explains


def explain(window: Window, suspect: Dropped) -> Explanation:
    """What was dropped is missed, and has to be sent again."""
    culprit, name = interface_of(suspect.interface), suspect.interface
    reasons = ", ".join(sorted({f"{row.reason or '?'} in {row.location or '?'}" for row in suspect.drops}))
    cause = "what damages the packets" if suspect.damaged else "the rule"
    return Explanation(
        culprit=culprit,
        onset_ns=suspect.drops[0].timestamp,
        victims=victims(suspect.again, suspect.drops),
        does="loses packets",
        detail=f"the kernel dropped {number(suspect.lost)} there in {suspect.run.seconds} s ({reasons})",
        harm="sends them again, or does without",
        suffering_s=0.0,
        path=path(
            sent_again_claim(window, suspect.again),
            claim(
                f"the kernel dropped {suspect.lost} packets at {name} in {suspect.run.seconds} s: {reasons}",
                window.evidence(suspect.drops, PacketDrop.count, "sum"),
            ),
        ),
        refuted_by=f"as much is retransmitted without {cause} at {name}",
        outlook="connections over it stay slow, and datagrams stay lost",
        actions=(
            LOOK.on(
                culprit,
                f"look for what damages the packets of {name}: a cable, a driver, an offload"
                if suspect.damaged
                else f"look for the rule that drops packets of {name}",
            ),
        ),
    )


MECHANISM = Mechanism[Dropped](
    fault=PACKET_LOSS,
    summary="The kernel drops packets by a rule, or because they are damaged, and programs miss them.",
    measure=measure,
    checks=(
        Check(
            id="many",
            says=f"{LEAST_LOST_PACKETS:.0f} packets or more are lost",
            holds=lambda suspect: suspect.lost >= LEAST_LOST_PACKETS,
            supports=0.5,
            refutes=3.0,
            because="judged: a few lost packets are sent again at once and slow nobody",
        ),
        Check(
            id="good_part",
            says="they are a good part of what {interface} carries",
            holds=lambda suspect: None if suspect.carried is None else suspect.lost >= LOST_SHARE * suspect.carried,
            supports=1.0,
            refutes=3.0,
            because="calculated: what TCP gets falls with the root of the share that is lost; below this share a "
            "connection is limited by other things",
        ),
        Check(
            id="missed",
            says="somebody misses them: a program here, or one that retransmits",
            holds=lambda suspect: (
                suspect.here
                or suspect.like_the_others
                or (suspect.sent_again_s >= LASTS_S and suspect.sent_again >= MISSED_SHARE * suspect.lost)
            ),
            supports=2.5,
            refutes=2.0,
            because="judged: a rule that turns strangers away harms nobody, whatever the number (recorded: "
            "`firewall_turns_strangers_away`)",
        ),
        Check(
            id="not_only_requests",
            says="more is lost than requests for connections",
            holds=lambda suspect: not suspect.only_requests,
            supports=0.0,
            refutes=4.0,
            because="judged: a rule that lets nothing but requests for connections get lost makes a service "
            "unreachable, and open connections go on (`slow_dependency`, which names it)",
        ),
        Check(
            id="table_has_room",
            says="the table of connections has room, so that it is a rule",
            holds=lambda suspect: None if suspect.table_is_full is None else not suspect.table_is_full,
            supports=0.0,
            refutes=5.0,
            because="judged: connection tracking drops in the same function as rules of iptables (nf_hook_slow); "
            "where its table is full, that is why (`kernel_limit`)",
        ),
    ),
    explain=explain,
)
