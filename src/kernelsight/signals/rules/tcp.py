"""Connections that lose segments, are not accepted, not closed, or run out of ports."""

from __future__ import annotations

from kernelsight.events.network import Tcp, TcpListener, TcpRetransmit
from kernelsight.events.process import SocketOwner
from kernelsight.signals.model import Measure, rule
from kernelsight.signals.registry import declare

_PORTS = 28_232
"""Of one address to another by default: 32768 to 60999 (ip_local_port_range, networking/ip-sysctl.rst)."""

RETRANSMITTED_PERCENT = 2
"""From which on `retransmissions` is raised."""
ACCEPT_QUEUE_FULL_PERCENT = 100
"""From which on `accept_queue_full` is critical."""

declare(
    __name__,
    rule(
        "retransmissions",
        TcpRetransmit,
        Measure(of=("retrans_segs",), per=("out_segs",), scale=100, unit="% of segments", least_per=20),
        scope="machine",
        levels={"warning": RETRANSMITTED_PERCENT, "critical": 10},
        raise_after_s=2,
        because="a sound network loses well below 1 %; at 2 % TCP gets 9 segments a round trip, at 10 % 4 (Mathis et "
        "al., 1997)",
        harm="connections wait for what was lost",
        summary="{value:.1f} % of TCP's segments are sent again",
    ),
    rule(
        "retransmission_timeouts",
        TcpRetransmit,
        Measure(of=("timeouts",), unit="timeouts/s"),
        scope="machine",
        levels={"warning": 5, "critical": 100},
        raise_after_s=2,
        because="each is a connection that stood still for 0.2 s or more (TCP_RTO_MIN, include/net/tcp.h)",
        harm="a hundred connections stand still each second",
        summary="{value:,.0f} times a second a connection waits in vain for an acknowledgement",
    ),
    rule(
        "connections_unanswered",
        TcpRetransmit,
        Measure(of=("syn_retrans",), unit="segments/s"),
        scope="machine",
        levels={"warning": 5, "critical": 100},
        raise_after_s=2,
        because="each is a connection that nobody answered for a second or more (RFC 6298: 1 s at first)",
        harm="programs wait for connections that nobody answers",
        summary="{value:,.0f} times a second a connection is asked for again",
    ),
    rule(
        "listen_overflow",
        TcpRetransmit,
        Measure(of=("listen_overflows",), unit="connections/s"),
        scope="machine",
        levels={"warning": 0.5, "critical": 50},
        because="a finished handshake was thrown away as the accept queue was full (listen(2)); the client waits for "
        "a second or more",
        harm="clients wait a second or more to be connected",
        summary="{value:,.0f} connections/s find a listener's queue full",
    ),
    rule(
        "accept_queue_full",
        TcpListener,
        Measure(of=("accept_queue",), per=("backlog",), scale=100, unit="%", least_per=1),
        scope="listener",
        levels={"warning": 80, "critical": ACCEPT_QUEUE_FULL_PERCENT},
        raise_after_s=2,
        because="the queue holds bursts; one that stays full has a listener that accepts too slowly, and overflows "
        "(listen(2))",
        harm="whoever connects now waits, or is refused",
        summary="the accept queue of port {port} is {value:.0f} % full: {comm} ({pid}) accepts too slowly",
    ),
    rule(
        "unclosed_connections",
        SocketOwner,
        Measure(of=("close_wait",), unit="sockets"),
        scope="process",
        levels={"warning": 100},
        raise_after_s=4,
        because="the other side has closed, the owner has not, and no timer of the kernel does it (RFC 9293, "
        "CLOSE-WAIT); it is descriptors that run out by it (descriptors_near_limit)",
        summary="{comm} ({pid}) holds {value:,.0f} connections that the other side has closed",
    ),
    rule(
        "time_wait_many",
        Tcp,
        Measure(of=("time_wait",), scale=100 / _PORTS, unit="% of the ports to one address"),
        scope="machine",
        levels={"info": 70},
        raise_after_s=2,
        because="each keeps a port for 60 s; by default there are 28,232 to one address (ip_local_port_range), and "
        "to each of many addresses as many: a busy server has 40,000 and lacks nothing. Who lacks one is told by "
        "syscalls_fail",
        summary="sockets in TIME_WAIT hold as many ports as {value:.0f} % of those to one address",
    ),
    rule(
        "receive_memory_full",
        TcpRetransmit,
        Measure(of=("prune_called",), unit="times/s"),
        scope="machine",
        levels={"warning": 1},
        raise_after_s=2,
        because="a receive queue was over its memory and had to be thrown away or squeezed (net/ipv4/tcp_input.c, "
        "tcp_prune_queue): a reader is too slow, or tcp_rmem too small",
        summary="{value:,.0f} times a second a receive queue has no memory left",
    ),
)
