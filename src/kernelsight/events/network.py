"""Network: interfaces, TCP, and packets that did not arrive."""

from typing import Annotated, Literal

from kernelsight.events.declare import Aka, Count, Counter, Delta, Event, Gauge, Int, Label, Means, Spoken, Text, event


@event(
    table="network_interface_stats",
    source="/proc/net/dev, /sys/class/net/*",
    entity=("interface_name",),
    foreign=("net_interface", "network_interface", "netdev", "net"),
    recognised_by=(("interface_name", "rx_bytes"), ("interface_name", "tx_bytes"), ("rx_bytes", "tx_bytes")),
    indexes=(("interface_name", "timestamp"), ("rx_drops",)),
    matters=("rx_bytes", "tx_bytes", "rx_drops", "tx_drops", "rx_errors", "tx_errors"),
)
class Network(Event, tag="network"):
    """Traffic of one network interface since it came up (Documentation/networking/statistics.rst)."""

    interface_name: Annotated[Text | None, Label(), Aka("interface", "iface", "ifname", "name")] = None
    rx_bytes: Annotated[
        Count | None,
        Counter("B", bits=32),
        Spoken("traffic", "network", "bandwidth", "received", "download", "incoming", "network traffic", "interface"),
    ] = None
    rx_packets: Annotated[Count | None, Counter("packets", bits=32), Spoken("packet", "received packet")] = None
    rx_errors: Annotated[
        Count | None,
        Counter("packets", bits=32),
        Aka("rx_errs"),
        Spoken("network error", "interface error", "nic error", "receive error", "rx error", "packet error", "error"),
    ] = None
    rx_drops: Annotated[
        Count | None,
        Counter("packets", bits=32),
        Aka("rx_dropped", "rx_drop"),
        Spoken("drop", "dropped packet", "packet drop", "rx drop", "lose"),
    ] = None
    tx_bytes: Annotated[Count | None, Counter("B", bits=32), Spoken("sent", "upload", "outgoing", "transmitted")] = None
    tx_packets: Annotated[Count | None, Counter("packets", bits=32), Spoken("packet", "sent packet")] = None
    tx_errors: Annotated[
        Count | None,
        Counter("packets", bits=32),
        Aka("tx_errs"),
        Spoken("network error", "interface error", "nic error", "transmit error", "tx error", "packet error"),
    ] = None
    tx_drops: Annotated[
        Count | None,
        Counter("packets", bits=32),
        Aka("tx_dropped", "tx_drop"),
        Spoken("drop", "dropped packet", "packet drop", "tx drop", "lose"),
    ] = None
    rx_fifo: Annotated[Count | None, Counter("packets", bits=32)] = None
    rx_frame: Annotated[Count | None, Counter("packets", bits=32)] = None
    rx_multicast: Annotated[Count | None, Counter("packets", bits=32)] = None
    tx_fifo: Annotated[Count | None, Counter("packets", bits=32)] = None
    tx_collisions: Annotated[Count | None, Counter("collisions", bits=32)] = None
    tx_carrier: Annotated[Count | None, Counter("errors", bits=32)] = None
    speed_mbps: Annotated[Int | None, Gauge("Mbit/s"), Means("link speed; NULL where the driver has none")] = None


@event(
    table="qdisc_stats",
    source="rtnetlink, RTM_GETQDISC",
    entity=("interface_name", "parent"),
    recognised_by=(("interface_name", "backlog_bytes"),),
    indexes=(("interface_name", "timestamp"), ("drops",)),
    matters=("drops", "backlog_bytes", "sent_bytes"),
)
class Qdisc(Event, tag="qdisc"):
    """The queue in front of an interface, all its classes together (tc(8), Documentation/networking/gen_stats.rst)."""

    interface_name: Annotated[Text | None, Label()] = None
    parent: Annotated[Text | None, Label(), Means("`root`: of what is sent; `ingress`: of what comes in")] = None
    discipline: Annotated[Text | None, Label(), Means("such as fq_codel, tbf, pfifo_fast")] = None
    sent_bytes: Annotated[Count | None, Counter("B"), Means("handed to the interface")] = None
    sent_packets: Annotated[Count | None, Counter("packets", bits=32)] = None
    drops: Annotated[
        Count | None,
        Counter("packets", bits=32),
        Means("dropped because the queue was full, or earlier by its algorithm"),
    ] = None
    overlimits: Annotated[
        Count | None, Counter("times", bits=32), Means("packets delayed by the rate limit of the queue")
    ] = None
    requeues: Annotated[
        Count | None, Counter("packets", bits=32), Means("packets put back because the interface had no room")
    ] = None
    backlog_bytes: Annotated[Int | None, Gauge("B"), Means("in the queue now")] = None
    backlog_packets: Annotated[Int | None, Gauge("packets"), Spoken("queue backlog", "qdisc backlog")] = None
    rate_limit_bytes: Annotated[Int | None, Gauge("B/s"), Means("rate limit of tbf; NULL for other queues")] = None


@event(
    table="tcp_stats",
    source="the kernel's tables of sockets, sock_diag(7), or /proc/net/tcp and tcp6; /proc/net/sockstat",
    foreign=("tcp_stats", "tcp_states", "tcp_connections"),
    recognised_by=(("established", "syn_sent"), ("established", "time_wait"), ("established", "close_wait")),
    indexes=(("close_wait",), ("time_wait",)),
)
class Tcp(Event, tag="tcp"):
    """TCP sockets by state (include/net/tcp_states.h), IPv4 and IPv6 together."""

    established: Annotated[
        Int | None, Gauge("sockets"), Spoken("connection", "tcp connection", "socket", "established", "tcp socket")
    ] = None
    syn_sent: Annotated[Int | None, Gauge("sockets"), Spoken("syn sent")] = None
    syn_recv: Annotated[Int | None, Gauge("sockets"), Spoken("syn recv", "half open connection")] = None
    fin_wait1: Annotated[Int | None, Gauge("sockets")] = None
    fin_wait2: Annotated[Int | None, Gauge("sockets")] = None
    time_wait: Annotated[Int | None, Gauge("sockets"), Spoken("time wait")] = None
    close: Annotated[Int | None, Gauge("sockets")] = None
    close_wait: Annotated[Int | None, Gauge("sockets"), Spoken("close wait")] = None
    last_ack: Annotated[Int | None, Gauge("sockets")] = None
    listen: Annotated[Int | None, Gauge("sockets"), Spoken("listening socket", "listening")] = None
    closing: Annotated[Int | None, Gauge("sockets")] = None
    orphan: Annotated[
        Int | None,
        Gauge("sockets"),
        Means("sockets that their owner has closed and TCP has not closed yet"),
        Spoken("orphan", "orphaned socket"),
    ] = None
    allocated: Annotated[Int | None, Gauge("sockets")] = None
    memory_pages: Annotated[Int | None, Gauge("pages"), Means("memory of all TCP sockets")] = None


@event(
    table="tcp_retransmit_stats",
    source="/proc/net/snmp, /proc/net/netstat",
    foreign=("tcp_retransmits", "tcp_retrans", "tcp_retransmit_stats"),
    recognised_by=(("retrans_segs",),),
    indexes=(("retrans_segs",),),
)
class TcpRetransmit(Event, tag="tcp_retransmit"):
    """What TCP has sent, sent again and given up since boot (RFC 4022; net/ipv4/proc.c)."""

    retrans_segs: Annotated[
        Count | None,
        Counter("segments"),
        Aka("RetransSegs"),
        Spoken("retransmit", "retransmission", "packet loss", "lost packet", "tcp retransmit", "tcp retransmission"),
    ] = None
    out_segs: Annotated[Count | None, Counter("segments"), Aka("OutSegs")] = None
    in_segs: Annotated[Count | None, Counter("segments"), Aka("InSegs")] = None
    in_errs: Annotated[Count | None, Counter("segments")] = None
    out_rsts: Annotated[Count | None, Counter("segments")] = None
    active_opens: Annotated[Count | None, Counter("connections")] = None
    passive_opens: Annotated[Count | None, Counter("connections")] = None
    attempt_fails: Annotated[
        Count | None, Counter("connections"), Spoken("failed connection", "connection failure", "refused connection")
    ] = None
    estab_resets: Annotated[
        Count | None, Counter("connections"), Spoken("connection reset", "reset connection", "tcp reset")
    ] = None
    listen_overflows: Annotated[
        Count | None, Counter("connections"), Spoken("listen overflow", "accept queue overflow", "backlog overflow")
    ] = None
    listen_drops: Annotated[Count | None, Counter("connections")] = None
    timeouts: Annotated[Count | None, Counter("timeouts")] = None
    syn_retrans: Annotated[Count | None, Counter("segments")] = None
    fast_retrans: Annotated[Count | None, Counter("segments")] = None
    lost_retransmits: Annotated[Count | None, Counter("segments")] = None
    backlog_drops: Annotated[Count | None, Counter("segments")] = None
    rcv_queue_drops: Annotated[Count | None, Counter("segments")] = None
    prune_called: Annotated[Count | None, Counter("times"), Means("receive queues over their memory")] = None
    abort_on_memory: Annotated[Count | None, Counter("connections")] = None
    tw_sockets: Annotated[Count | None, Counter("sockets"), Means("TIME_WAIT sockets that ran out")] = None


@event(
    table="tcp_retransmit_events",
    source="eBPF tcp:tcp_retransmit_skb, tcp:tcp_retransmit_synack",
    entity=("saddr", "daddr", "dport"),
    foreign=("retransmit",),
    # Four ends of a connection do not say what happened on it: only a `type` tells this kind.
    indexes=(("pid", "timestamp"), ("daddr", "dport", "timestamp")),
    interval_s=None,
    most_per_s=2000,
)
class TcpRetransmitEvent(Event, tag="tcp_retransmit_event"):
    """One packet of one or more segments that was sent again."""

    saddr: Annotated[Text | None, Label()] = None
    sport: Annotated[Int | None, Label()] = None
    daddr: Annotated[Text | None, Label()] = None
    dport: Annotated[Int | None, Label()] = None
    state: Annotated[Text | None, Label(), Means("TCP state")] = None
    comm: Annotated[Text | None, Label(), Means("owner of the socket, where known")] = None
    pid: Annotated[Int | None, Label()] = None
    segments: Annotated[
        Int | None, Gauge("segments"), Means("segments in the packet; the device may divide it further")
    ] = None
    interface_name: Annotated[Text | None, Label(), Means("interface of its route, where it has one")] = None


@event(
    table="packet_drops",
    source="eBPF skb:kfree_skb, every second",
    entity=("reason", "interface_name", "location", "pid"),
    recognised_by=(("reason", "location", "count"),),
    indexes=(("reason", "timestamp"),),
    most_per_s=500,
    matters=("count",),
)
class PacketDrop(Event, tag="packet_drop"):
    """Packets that the kernel dropped within one second, and why (include/net/dropreason-core.h)."""

    reason: Annotated[Text | None, Label(), Means("drop reason, such as NO_SOCKET")] = None
    interface_name: Annotated[Text | None, Label()] = None
    location: Annotated[Text | None, Label(), Means("function of the kernel that dropped it")] = None
    origin: Annotated[
        Literal["local", "remote"] | None, Label(), Means("sent from here, or come in by an interface")
    ] = None
    pid: Annotated[
        Int | None, Label(), Means("owner of the socket that sent it or should have got it, where known")
    ] = None
    comm: Annotated[Text | None, Label()] = None
    count: Annotated[Int | None, Delta("packets"), Spoken("drop", "dropped packet", "packet drop")] = None
    bytes: Annotated[Int | None, Delta("B"), Means("bytes, without headers that the kernel had removed before")] = None


@event(
    table="tcp_listeners",
    source="the kernel's tables of sockets, sock_diag(7), or /proc/net/tcp; those whose accept queue is fullest",
    entity=("address", "port"),
    recognised_by=(("accept_queue", "backlog"),),
    indexes=(("port", "timestamp"),),
)
class TcpListener(Event, tag="tcp_listener"):
    """Accept queue of one listening socket."""

    address: Annotated[Text | None, Label()] = None
    port: Annotated[Int | None, Label()] = None
    accept_queue: Annotated[Int | None, Gauge("connections"), Means("waiting to be accepted")] = None
    backlog: Annotated[Int | None, Gauge("connections"), Means("the queue's limit")] = None
    pid: Annotated[Int | None, Label(), Means("an owner of the socket, where known")] = None
    comm: Annotated[Text | None, Label()] = None
    inode: Annotated[Int | None, Label(), Means("of the socket")] = None


@event(
    table="udp_sockets",
    source="iter/udp, or /proc/net/udp and udp6; the sockets that drop or have something to read",
    entity=("address", "port", "inode"),
    recognised_by=(("receive_queue_bytes", "drops"),),
    indexes=(("port", "timestamp"), ("drops",)),
)
class UdpSocket(Event, tag="udp_socket"):
    """Receive queue of one UDP socket, and the datagrams that did not fit into it because the reader is too slow."""

    address: Annotated[Text | None, Label()] = None
    port: Annotated[Int | None, Label()] = None
    receive_queue_bytes: Annotated[Int | None, Gauge("B"), Means("bytes not yet read, with the kernel's overhead")] = (
        None
    )
    receive_buffer_bytes: Annotated[Int | None, Gauge("B"), Means("the queue's limit")] = None
    drops: Annotated[
        Count | None,
        Counter("datagrams", bits=32),
        Means("datagrams that arrived and did not fit into the queue"),
        Spoken("udp drop", "dropped datagram"),
    ] = None
    pid: Annotated[Int | None, Label(), Means("an owner of the socket, where known")] = None
    comm: Annotated[Text | None, Label()] = None
    inode: Annotated[Int | None, Label(), Means("of the socket")] = None
