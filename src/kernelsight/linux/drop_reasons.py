"""Why the kernel drops a packet: its drop reasons (include/net/dropreason-core.h), by what they mean for the packet.

One table; whoever judges drops chooses classes, not reasons. A reason that is in no class is the usual answer to what
came in (NO_SOCKET, TCP_OLD_DATA, UNHANDLED_PROTO ...), and belongs to a healthy network as well.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Literal

DropClass = Literal["rule", "filter", "damage", "queue", "backlog", "reader", "memory"]
"""What was in the packet's way.

- `rule`: the administrator's: firewall, traffic control, XDP, reverse path filter, security module.
- `filter`: a program's own, on its socket.
- `damage`: the packet was damaged on its way.
- `queue`: a queue of packets to send, or a device's ring, was full.
- `backlog`: a CPU had more packets to receive than it may keep (net.core.netdev_max_backlog).
- `reader`: the socket's buffer was full, since its program does not read fast enough.
- `memory`: there was no memory for it.
"""


def _of(drop_class: DropClass, reasons: str) -> dict[str, DropClass]:
    return dict.fromkeys(reasons.split(), drop_class)


DROP_CLASSES: Mapping[str, DropClass] = (
    _of("rule", "NETFILTER_DROP TC_INGRESS TC_EGRESS XDP IP_RPFILTER BPF_CGROUP_EGRESS SECURITY_HOOK")
    | _of("filter", "SOCKET_FILTER")
    | _of("damage", "IP_CSUM TCP_CSUM UDP_CSUM SKB_CSUM ICMP_CSUM IP_INHDR PKT_TOO_SMALL HDR_TRUNC")
    | _of("queue", "QDISC_DROP QDISC_OVERLIMIT QDISC_CONGESTED FQ_FLOW_LIMIT FQ_BAND_LIMIT FQ_HORIZON_LIMIT CAKE_FLOOD")
    | _of("queue", "DUALPI2_STEP_DROP FULL_RING")
    | _of("backlog", "CPU_BACKLOG")
    | _of("reader", "SOCKET_RCVBUFF SOCKET_BACKLOG PROTO_MEM")
    | _of("memory", "NOMEM")
)
"""Reason → class, of the reasons that mean a loss."""

DROP_CLASSES_BY_PLACE: Mapping[str, DropClass] = (
    _of("rule", "nft_do_chain nf_hook_slow ipt_do_table")
    | _of("queue", "__dev_queue_xmit __dev_xmit_skb")
    | _of("reader", "udp_queue_rcv_one_skb udpv6_queue_rcv_one_skb")
)
"""Function of the kernel → class, for kernels that give no reason (before 5.17)."""

ARRIVED = frozenset({
    "TCP_OLD_DATA", "TCP_OLD_ACK", "TCP_OLD_SEQUENCE", "TCP_ZEROWINDOW", "TCP_OVERWINDOW", "TCP_OFOMERGE", "TCP_RESET",
    "TCP_CLOSE", "TCP_FASTOPEN", "TCP_INVALID_SEQUENCE", "TCP_ABORT_ON_DATA", "TCP_FLAGS", "NO_SOCKET", "SOCKET_CLOSE",
    "TCP_TIMEWAIT",
})  # fmt: skip
"""Reasons to drop what has arrived at its end, and is known already, or comes too late or for nobody."""


def reasons_of(*drop_classes: DropClass) -> tuple[str, ...]:
    """The reasons of some classes, in alphabetical order."""
    return tuple(sorted(reason for reason, known in DROP_CLASSES.items() if known in drop_classes))


def drop_class(reason: str | None, place: str | None) -> DropClass | None:
    """What was in the way of a dropped packet; None where that is no loss.

    Args:
        reason: the drop reason; None: the kernel gives none.
        place: the function that dropped it.
    """
    return DROP_CLASSES_BY_PLACE.get(place or "") if reason is None else DROP_CLASSES.get(reason)
