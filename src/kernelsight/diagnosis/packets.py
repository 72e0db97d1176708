"""What became of packets within a window: where they were dropped and why, what was sent again, what queues held."""

from __future__ import annotations

import statistics
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Literal, TypeVar

from kernelsight.diagnosis.identity import process_entity
from kernelsight.diagnosis.mechanism import claim
from kernelsight.diagnosis.model import Entity, Step
from kernelsight.diagnosis.threshold import Threshold
from kernelsight.diagnosis.window import CounterDelta, Interval, Window, runs
from kernelsight.events.declare import Event
from kernelsight.events.fields import Metric, getter
from kernelsight.events.network import Network
from kernelsight.events.packet_drop import PacketDrop
from kernelsight.events.process import SocketOwner
from kernelsight.events.qdisc import Qdisc
from kernelsight.events.tcp import TcpRetransmitEvent
from kernelsight.linux.drop_reasons import DropClass, drop_class
from kernelsight.signals.rules.network import PACKETS_LOST_PER_S

E = TypeVar("E", bound=Event)
Owned = TypeVar("Owned", PacketDrop, TcpRetransmitEvent, SocketOwner)
_WITH_DATA = frozenset({"established", "fin_wait1", "close_wait", "last_ack", "closing"})
"""States in which data is sent again; a SYN that nobody answers is another matter."""
_FRAME_DATA_BYTES = 1448
"""What a packet of TCP carries over Ethernet; larger ones are cut into such before they leave."""
FULL_LISTENER = "TCP_LISTEN_OVERFLOW"
"""Reason to drop what a listener has no room for: that is its own fault (`listen_overflow`), however often it is
tried."""
LASTS_S = Threshold(
    3,
    "s",
    because="judged: a burst that does not fit is over sooner; signals of lost packets are raised after 2 s or less, "
    "and tell of bursts, too",
)
LEAST_LOST_PACKETS = Threshold(
    PACKETS_LOST_PER_S,
    "packets",
    because="judged: fewer are an accident. The signal `packets_lost` is raised from as many a second on; diagnosis "
    "asks for as many in all, and that somebody misses them",
)
LOST_SHARE = Threshold(
    0.005,
    "share of the packets",
    because="calculated: at a loss of 0.5 % and 100 ms TCP gets 2 Mbit/s, by MSS / RTT x 1.2 / sqrt(p) (Mathis et al., "
    "The macroscopic behavior of the TCP congestion avoidance algorithm, CCR 27, 1997)",
)


def cause_of(row: PacketDrop) -> DropClass | None:
    """What was in the way of a packet; None where that is no loss."""
    return drop_class(row.reason, row.location)


def drops(window: Window) -> Mapping[tuple[DropClass, str], Sequence[PacketDrop]]:
    """The packets that were lost, by cause and interface; use with :meth:`Window.once`."""
    found: dict[tuple[DropClass, str], list[PacketDrop]] = {}
    for row in window.rows(PacketDrop):
        cause = cause_of(row)
        if cause and row.interface_name:
            found.setdefault((cause, row.interface_name), []).append(row)
    return found


def sent_again(window: Window) -> Sequence[TcpRetransmitEvent]:
    """The segments with data that were sent again; use with :meth:`Window.once`."""
    return [row for row in window.rows(TcpRetransmitEvent) if row.state in _WITH_DATA]


def owners(rows: Iterable[Owned], what: Metric[Owned]) -> list[tuple[int, str, float]]:
    """Pid, name and sum of a column of those whose rows these are, the largest first."""
    amount_of = getter(what)
    sums: dict[tuple[int, str], float] = {}
    for row in rows:
        if row.pid:
            who = row.pid, row.comm or "?"
            sums[who] = sums.get(who, 0.0) + (amount_of(row) or 0)
    return [(pid, comm, amount) for (pid, comm), amount in sorted(sums.items(), key=lambda one: -one[1])]


def stretches(window: Window, rows: Iterable[E], value: Metric[E]) -> list[Interval]:
    """The stretches in which a column is not zero: a burst, or an end after a pause, is none."""
    return runs(window.per_second(rows, value), lambda amount: amount > 0, least=int(LASTS_S), gap=2)


def carried(window: Window, interface: str, run: Interval) -> list[CounterDelta[Network]]:
    """What an interface of this network namespace did within a stretch; nothing is known of others."""
    changes = window.deltas(Network).get((interface,), ())
    return window.during(changes, run)


def packets(changes: Sequence[CounterDelta[Network]], way: Literal["rx", "tx"]) -> float:
    """Packets that an interface carried one way."""
    return sum(change.of(Network.rx_packets if way == "rx" else Network.tx_packets) for change in changes)


def segments_sent(changes: Sequence[CounterDelta[Network]], interface: str) -> float:
    """About how many segments left by an interface: a packet that is cut later counts for what becomes of it."""
    frames = 0.0 if interface == "lo" else sum(change.of(Network.tx_bytes) for change in changes) / _FRAME_DATA_BYTES
    return max(packets(changes, "tx"), frames)


@dataclass(frozen=True, slots=True)
class FullQueue:
    """A stretch in which packets had to wait in front of an interface, or did not fit any more."""

    interface: str
    run: Interval
    changes: Sequence[CounterDelta[Qdisc]]
    """Of the queue's statistics; none of an interface in another network namespace."""
    drops: Sequence[PacketDrop]
    """The packets that the kernel says were dropped there."""

    @property
    def waits(self) -> float:
        """Share of the samples in which something was in the queue."""
        return sum(bool(change.after.backlog_bytes) for change in self.changes) / max(len(self.changes), 1)

    @property
    def dropped(self) -> float:
        """Packets that did not fit."""
        counted = sum(change.of(Qdisc.drops) for change in self.changes)
        return max(counted, float(sum(row.count or 0 for row in self.drops)))

    @property
    def rates(self) -> list[float]:
        """Bytes a second that it let through, by second."""
        return [change.of(Qdisc.sent_bytes) / change.seconds for change in self.changes]

    @property
    def delay_s(self) -> float | None:
        """How long a packet waits in it, on average; None where that is not known."""
        rate = statistics.fmean(self.rates) if self.changes else 0.0
        held = [change.after.backlog_bytes or 0 for change in self.changes]
        return statistics.fmean(held) / rate if rate else None

    @property
    def limit(self) -> float | None:
        """What it is shaped to (B/s), where that is known."""
        return self.changes[-1].after.rate_limit_bytes if self.changes else None


def full_queues(window: Window) -> list[FullQueue]:
    """The queues that were full or never empty for a while; use with :meth:`Window.once`."""
    found: list[FullQueue] = []
    dropped = {interface: rows for (cause, interface), rows in window.once(drops).items() if cause == "queue"}
    for (interface, parent), changes in window.deltas(Qdisc).items():
        if parent != "root":
            continue
        held = {window.second(change.after): _held(change) for change in changes}
        found += [
            FullQueue(
                str(interface),
                run,
                window.during(changes, run),
                window.within(dropped.get(interface, ()), run),
            )
            for run in runs(held, lambda amount: amount > 0, least=int(LASTS_S), gap=2)
        ]
    for interface in dropped.keys() - {name for name, _ in window.deltas(Qdisc)}:
        for run in stretches(window, dropped[interface], PacketDrop.count):
            found.append(FullQueue(interface, run, (), window.within(dropped[interface], run)))
    return found


def _held(change: CounterDelta[Qdisc]) -> float:
    """How often packets had to wait for the interface, or did not fit; 0 where the queue was empty after that."""
    waited = change.of(Qdisc.overlimits) + change.of(Qdisc.requeues)
    return change.of(Qdisc.drops) + (waited if change.after.backlog_bytes else 0.0)


def interface_of(name: str) -> Entity:
    """An interface, as a finding names it."""
    return Entity("interface", name, name)


def sent_again_claim(window: Window, again: Sequence[TcpRetransmitEvent]) -> Step | None:
    """The claim that programs retransmitted segments."""
    names = ", ".join(comm for _, comm, _ in owners(again, TcpRetransmitEvent.segments)[:3]) or "somebody"
    return claim(
        f"{names} retransmitted {sum(row.segments or 1 for row in again)} segments",
        window.evidence(again, TcpRetransmitEvent.segments, "sum"),
    )


def victims(again: Sequence[TcpRetransmitEvent], dropped: Sequence[PacketDrop] = ()) -> tuple[Entity, ...]:
    """The processes that sent again, and those whose packets were dropped."""
    known = [*owners(again, TcpRetransmitEvent.segments), *owners(dropped, PacketDrop.count)]
    return tuple(dict.fromkeys(process_entity(pid, comm) for pid, comm, _ in known))[:5]
