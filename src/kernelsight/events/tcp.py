"""TCP: sockets by state, listeners, and what is sent again."""

from __future__ import annotations

from typing import Annotated, Literal

from kernelsight.events.declare import (
    Aka,
    Count,
    Counter,
    Event,
    Flag,
    Gauge,
    Int,
    Label,
    Means,
    Spoken,
    Text,
    event,
)


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
    table="tcp_connections",
    source="the kernel's tables of sockets, sock_diag(7), or /proc/net/tcp and tcp6; those that do not get on",
    entity=("saddr", "sport", "daddr", "dport"),
    recognised_by=(("waits_for", "unacknowledged_bytes"),),
    indexes=(("daddr", "dport", "timestamp"), ("pid", "timestamp")),
    matters=("retransmits", "unsent_bytes", "unread_bytes"),
)
class TcpConnection(Event, tag="tcp_connection"):
    """A TCP connection that does not get on, once a second for as long as it does not."""

    saddr: Annotated[Text | None, Label()] = None
    sport: Annotated[Int | None, Label()] = None
    daddr: Annotated[Text | None, Label()] = None
    dport: Annotated[Int | None, Label()] = None
    state: Annotated[Text | None, Label(), Means("TCP state")] = None
    waits_for: Annotated[
        Literal["answer", "acknowledgement", "window", "reader", "round_trip"] | None,
        Label(),
        Means(
            "`answer`: the request for the connection was sent again; `acknowledgement`: data was sent again twice or "
            "more; `window`: the other end takes no more data; `reader`: more waits to be read than still fits; "
            "`round_trip`: a round trip takes 100 ms or more, and four times the shortest"
        ),
    ] = None
    is_accepted: Annotated[Flag | None, Label(), Means("this end accepted it; the other end asked for it")] = None
    unsent_bytes: Annotated[Int | None, Gauge("B"), Means("written and not sent yet")] = None
    unacknowledged_bytes: Annotated[Int | None, Gauge("B"), Means("sent and not acknowledged yet")] = None
    unread_bytes: Annotated[Int | None, Gauge("B"), Means("received and not read yet")] = None
    send_window_bytes: Annotated[Int | None, Gauge("B"), Means("what the other end takes at a time")] = None
    receive_window_bytes: Annotated[Int | None, Gauge("B"), Means("what this end takes at a time")] = None
    round_trip_us: Annotated[Int | None, Gauge("us"), Means("smoothed round-trip time")] = None
    shortest_round_trip_us: Annotated[Int | None, Gauge("us"), Means("in the last minutes")] = None
    retransmits: Annotated[Int | None, Gauge("times"), Means("in a row, without an answer")] = None
    pid: Annotated[Int | None, Label(), Means("an owner of the socket, where known")] = None
    comm: Annotated[Text | None, Label()] = None
    inode: Annotated[Int | None, Label(), Means("of the socket")] = None
