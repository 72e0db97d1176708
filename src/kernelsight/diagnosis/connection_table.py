"""The kernel's table of tracked connections (nf_conntrack): whether packets are dropped because it is full."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from kernelsight.diagnosis.identity import process_entity
from kernelsight.diagnosis.kernel_log import is_read, messages
from kernelsight.diagnosis.limit_use import LimitUse, use_of
from kernelsight.diagnosis.limits import CONNECTION_TABLE
from kernelsight.diagnosis.model import Entity
from kernelsight.diagnosis.packets import LASTS_S, carried, packets
from kernelsight.diagnosis.threshold import Threshold
from kernelsight.diagnosis.window import CounterDelta, Window, runs
from kernelsight.events.kernel_message import KernelMessage
from kernelsight.events.limit import Limit
from kernelsight.events.network import Network
from kernelsight.events.packet_drop import PacketDrop
from kernelsight.events.tcp import TcpRetransmit, TcpRetransmitEvent

DROPPED_BY_A_HOOK = "nf_hook_slow"
"""Function in which netfilter drops what one of its hooks refuses: connection tracking, or a rule of iptables.

A rule of nftables drops in `nft_do_chain` (net/netfilter/core.c, nf_conntrack_core.c, nf_tables_core.c).
"""
_REASONS = frozenset({"NETFILTER_DROP", None})
_REQUEST = "syn_sent"
"""State in which a request for a connection is sent again."""
LEAST_LOST_PACKETS = Threshold(10, "packets", because="judged: fewer are an accident")
ASKED_AGAIN_SHARE = Threshold(
    0.01,
    "connections that are asked for again, per packet that is dropped",
    because="judged: somebody here misses them then; what others miss they ask for again by themselves (after 1, 3, 7 "
    "s and so on: RFC 6298, tcp_syn_retries)",
)
ASKED_AGAIN_PER_S = Threshold(
    1.0, "connections/s", because="judged: a few are always asked for again, of hosts that are down"
)
PASSES_SHARE = Threshold(
    0.5,
    "share of all packets",
    because="judged: of a full table, fewer are dropped: connections that are in the table go on, new ones are refused",
)


@dataclass(frozen=True, slots=True)
class FullTable:
    """Packets that a hook of netfilter dropped for three seconds or more, and what speaks for a full table."""

    drops: Sequence[PacketDrop]
    seconds: int
    use: LimitUse
    """Of the collector's network namespace, if the interfaces are its; else nothing is known."""
    asked_again: Sequence[CounterDelta[TcpRetransmit]]
    """While packets were dropped."""
    requests: Sequence[TcpRetransmitEvent]
    """Requests for connections that were sent again meanwhile, of any namespace."""
    carried: float
    """Packets that the interfaces carried meanwhile; 0 where that is not known."""
    messages: Sequence[KernelMessage] = ()
    """What the kernel said of it: `nf_conntrack: table full, dropping packet`."""
    log_is_read: bool = False

    @property
    def onset_ns(self) -> int:
        """When the first packet was dropped."""
        return int(self.drops[0].timestamp)

    @property
    def lost(self) -> int:
        """Packets that were dropped."""
        return sum(row.count or 0 for row in self.drops)

    @property
    def tries(self) -> float:
        """Times that a connection was asked for again."""
        return max(sum(change.of(TcpRetransmit.syn_retrans) for change in self.asked_again), float(len(self.requests)))

    @property
    def interfaces(self) -> tuple[str, ...]:
        """By which they came in, or were to leave."""
        return tuple(sorted({str(row.interface_name or "?") for row in self.drops}))

    @property
    def victims(self) -> tuple[Entity, ...]:
        """Whose packets they were, where that is known."""
        rows: list[TcpRetransmitEvent | PacketDrop] = [*self.requests, *self.drops]
        return tuple(dict.fromkeys(
            process_entity(row.pid, row.comm) for row in rows if row.pid
        ))[:5]  # fmt: skip

    @property
    def is_said(self) -> bool | None:
        """Whether the kernel says that the table is full; None where nobody read its log."""
        return True if self.messages else False if self.log_is_read else None

    @property
    def is_known(self) -> bool:
        """Whether the use of the table was recorded."""
        return self.use.is_met is not None

    @property
    def is_missed(self) -> bool:
        """Whether as many connections are asked for again as somebody here who misses them would."""
        return self.tries >= max(ASKED_AGAIN_SHARE * self.lost, ASKED_AGAIN_PER_S * self.seconds)

    @property
    def is_missed_here(self) -> bool:
        """Whether programs of this machine miss the packets: whose they are is known, or connections are asked for."""
        return bool(self.victims) or self.is_missed

    @property
    def most_pass(self) -> bool:
        """Whether most packets are not dropped."""
        return self.lost <= PASSES_SHARE * (self.carried + self.lost)

    @property
    def explains(self) -> bool:
        """Whether the table is likelier than a rule: it is known to be full, or requests for connections are missed."""
        return bool(self.messages) or self.use.is_met is True or (self.use.is_met is None and self.is_missed)


def full_table(window: Window) -> FullTable | None:
    """The packets that a full table may have dropped; None where no hook drops any. Use with :meth:`Window.once`."""
    dropped = [
        row
        for row in window.rows(PacketDrop)
        if row.reason in _REASONS and row.location == DROPPED_BY_A_HOOK and row.count
    ]
    stretches = runs(window.per_second(dropped, PacketDrop.count), lambda count: count > 0, least=int(LASTS_S), gap=2)
    if not stretches:
        return None
    run = stretches[-1]
    within = window.within(dropped, run)
    names = {row.interface_name for row in within} - {None}
    here = [str(name) for name in names if (name,) in window.series(Network)]
    use = use_of(window, CONNECTION_TABLE) if here or not window.rows(Network) else LimitUse(())
    if here and use.share is None and window.rows(Limit):
        return None  # connections are not tracked here, or their limit would have been read with the others
    meanwhile = [change for name in here for change in carried(window, name, run)]
    asked = window.during((change for of in window.deltas(TcpRetransmit).values() for change in of), run)
    return FullTable(
        drops=within,
        seconds=run.seconds,
        use=use,
        asked_again=asked,
        requests=[row for row in window.within(window.rows(TcpRetransmitEvent), run) if row.state == _REQUEST],
        carried=packets(meanwhile, "rx") + packets(meanwhile, "tx"),
        messages=[row for row in messages(window, "table_full") if row.subject == "nf_conntrack"],
        log_is_read=is_read(window),
    )
