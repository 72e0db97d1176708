"""Connections that lose segments, are not accepted, not closed, or run out of ports."""

from __future__ import annotations

from kernelsight.events.process import SocketOwner
from kernelsight.events.tcp import Tcp, TcpListener, TcpRetransmit
from kernelsight.signals.model import Harm, Measure, if_known, minus, rule
from kernelsight.signals.registry import declare

_PORTS = 28_232
"""Of one address to another by default: 32768 to 60999 (ip_local_port_range, networking/ip-sysctl.rst)."""

RETRANSMITTED_PERCENT = 2
"""From which on `retransmissions` is raised."""
UNCLOSED_SOCKETS = 100
"""From which on `unclosed_connections` is raised."""
ACCEPT_QUEUE_FULL_PERCENT = 100
"""All that listen(2) asked for; the kernel lets one more in (sk_acceptq_is_full, include/net/sock.h)."""
_MORE_THAN_FULL_PERCENT = 100.001
"""The one more, of the longest queue that there can be. A listener of one client at a time may have it waiting."""

declare(
    __name__,
    rule(
        "retransmissions",
        TcpRetransmit,
        Measure(
            # Whoever asks hosts that are down for connections has many of these, and no connection.
            of=(TcpRetransmit.retrans_segs, minus(if_known(TcpRetransmit.syn_retrans))),
            per=(TcpRetransmit.out_segs,),
            scale=100,
            unit="% of segments",
            least_per=20,
        ),
        scope="machine",
        levels={"warning": RETRANSMITTED_PERCENT, "critical": 10},
        raise_after_s=2,
        because="a sound network loses well below 1 %; at 2 % TCP gets 9 segments a round trip, at 10 % 4 (Mathis et "
        "al., 1997)",
        harm=Harm("wait", "connections wait for lost segments"),
        summary="{value:.1f} % of TCP's segments are retransmitted",
    ),
    rule(
        "retransmission_timeouts",
        TcpRetransmit,
        Measure(of=(TcpRetransmit.timeouts,), unit="timeouts/s"),
        scope="machine",
        levels={"warning": 5},
        raise_after_s=2,
        because="each is a connection that stalled for 0.2 s or more (TCP_RTO_MIN, include/net/tcp.h)",
        healthy="a server of many clients on mobile links: for ever",
        summary="{value:,.0f} times a second a connection gets no acknowledgement in time",
    ),
    rule(
        "connections_unanswered",
        TcpRetransmit,
        Measure(of=(TcpRetransmit.syn_retrans,), unit="segments/s"),
        scope="machine",
        levels={"warning": 5},
        raise_after_s=2,
        because="each is a connection request without an answer for a second or more (RFC 6298: 1 s at first)",
        healthy="a crawler, or a monitor of hosts that are down: for ever",
        summary="{value:,.0f} times a second a connection request is sent again",
    ),
    rule(
        "listen_overflow",
        TcpRetransmit,
        Measure(of=(TcpRetransmit.listen_overflows,), unit="connections/s"),
        scope="machine",
        levels={"warning": 0.5, "critical": 50},
        because="the kernel dropped a finished handshake because the accept queue was full "
        "(listen(2)); the client waits for a second or more",
        harm=Harm("wait", "clients wait a second or more to be connected"),
        summary="{value:,.0f} connections/s meet a full accept queue",
    ),
    rule(
        "accept_queue_full",
        TcpListener,
        Measure(of=(TcpListener.accept_queue,), per=(TcpListener.backlog,), scale=100, unit="%", least_per=1),
        scope="listener",
        levels={"warning": 80, "critical": _MORE_THAN_FULL_PERCENT},
        raise_after_s=2,
        because="the queue holds bursts; if it stays full, the listener accepts too slowly and the queue overflows "
        "(listen(2))",
        harm=Harm("wait", "a client that connects now waits, or is refused"),
        summary="the accept queue of port {port} is {value:.0f} % full: {comm} ({pid}) accepts too slowly",
    ),
    rule(
        "unclosed_connections",
        SocketOwner,
        Measure(of=(SocketOwner.close_wait,), unit="sockets"),
        scope="process",
        levels={"warning": UNCLOSED_SOCKETS},
        raise_after_s=4,
        because="the other side has closed the connection, its owner has not, and no timer of the "
        "kernel closes it (RFC 9293, CLOSE-WAIT). The owner runs out of descriptors (descriptors_near_limit)",
        healthy="a pool that closes its connections late: until it does",
        summary="{comm} ({pid}) holds {value:,.0f} connections that the other side has closed",
    ),
    rule(
        "time_wait_many",
        Tcp,
        Measure(of=(Tcp.time_wait,), scale=100 / _PORTS, unit="% of the ports to one address"),
        scope="machine",
        levels={"info": 70},
        raise_after_s=2,
        because="each keeps a port for 60 s. By default there are 28,232 ports to each remote "
        "address (ip_local_port_range), so a server with many clients may have 40,000 sockets in "
        "TIME_WAIT and lack no port. syscalls_fail names programs that lack a port",
        healthy="a server of many short connections: for ever",
        summary="sockets in TIME_WAIT hold as many ports as {value:.0f} % of those to one address",
    ),
    rule(
        "receive_memory_full",
        TcpRetransmit,
        Measure(of=(TcpRetransmit.prune_called,), unit="times/s"),
        scope="machine",
        levels={"warning": 1},
        raise_after_s=2,
        because="a receive queue was over its memory limit, so the kernel compacted it or dropped "
        "packets (net/ipv4/tcp_input.c, "
        "tcp_prune_queue): a reader is too slow, or tcp_rmem too small",
        healthy="a transfer from a faster machine: as long as it lasts",
        summary="{value:,.0f} times a second a receive queue is over its memory limit",
    ),
)
