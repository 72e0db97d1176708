"""Services: what listens, how long its clients wait for an answer, and who they are.

A *request* is a run of input after output on one connection; its *answer* is the first output after the
run was read. What is encrypted, or how a protocol is built, makes no difference: bytes and moments are looked at. All
requests are counted; of a connection with more than 256 in a second, one in eight is timed and stands for eight.
"""

from typing import Annotated, Literal

from kernelsight.events.declare import (
    Delta,
    Event,
    Flag,
    Gauge,
    Int,
    Label,
    Means,
    Real,
    Spoken,
    Text,
    Unsigned64,
    event,
)

Protocol = Literal["tcp", "udp", "unix"]

_ADDRESS = Means("where it listens; of a Unix socket its path, `@` before an abstract name")
_NETNS = Means("inode of the network namespace; NULL for Unix sockets")


@event(
    table="services",
    source="eBPF inet_sock_set_state, sk_data_ready, iter/task_file; when it appears or changes, and every ten seconds",
    entity=("protocol", "address", "port", "netns"),
    recognised_by=(("protocol", "address", "port", "backlog"),),
    indexes=(("pid", "timestamp"),),
    interval_s=10,
)
class Service(Event, tag="service"):
    """A listening socket (TCP, Unix) or a bound socket that answers datagrams (UDP), and the program behind it."""

    protocol: Annotated[Protocol | None, Label()] = None
    address: Annotated[Text | None, Label(), _ADDRESS] = None
    port: Annotated[Int | None, Label(), Means("NULL for Unix sockets")] = None
    netns: Annotated[Int | None, Label(), _NETNS] = None
    pid: Annotated[Int | None, Label(), Means("process that began to listen, or the first that has the socket")] = None
    comm: Annotated[Text | None, Label()] = None
    backlog: Annotated[Int | None, Gauge("connections"), Means("limit of the accept queue; NULL for UDP")] = None
    sockets: Annotated[Int | None, Gauge("sockets"), Means("that listen there: several with SO_REUSEPORT")] = None
    cgroup_id: Annotated[Int | None, Label(), Unsigned64(), Means("of that process")] = None


@event(
    table="service_stats",
    source="eBPF sk_data_ready, sock_recv_length, sock_send_length, inet_sock_set_state, tcp_*_reset, every second",
    entity=("protocol", "address", "port", "netns"),
    recognised_by=(("protocol", "address", "requests", "answers"),),
    indexes=(("port", "timestamp"), ("pid", "timestamp"), ("latency_p95_us",), ("oldest_unanswered_ms",)),
    matters=("oldest_unanswered_ms", "requests", "connections"),
)
class ServiceStats(Event, tag="service_stats"):
    """Requests to one service within one second, as the kernel of the server sees them.

    A row is written while it has requests, unanswered requests or a queue, and once more when it has none.
    """

    protocol: Annotated[Protocol | None, Label()] = None
    address: Annotated[Text | None, Label(), _ADDRESS] = None
    port: Annotated[Int | None, Label(), Means("NULL for Unix sockets")] = None
    netns: Annotated[Int | None, Label(), _NETNS] = None
    pid: Annotated[
        Int | None,
        Label(),
        Means("process that read a request of it last; NULL: none was read since the collector began"),
    ] = None
    comm: Annotated[Text | None, Label()] = None
    requests: Annotated[
        Int | None, Delta("requests"), Means("runs of input that began"), Spoken("request", "service request")
    ] = None
    answers: Annotated[Int | None, Delta("answers"), Means("requests whose first output left")] = None
    abandoned: Annotated[
        Int | None, Delta("requests"), Means("not answered when their connection ended; NULL for UDP and Unix sockets")
    ] = None
    latency_us: Annotated[
        Real | None, Delta("us"), Means("sum over `latency_count` answers, from arrival to answer")
    ] = None
    latency_count: Annotated[
        Int | None,
        Delta("answers"),
        Means("answers that the figures of latency stand for: none on streams, nor any whose arrival was not seen"),
    ] = None
    latency_p50_us: Annotated[
        Real | None,
        Gauge("us"),
        Means("from the arrival of a request until its answer leaves; NULL: no answer was timed"),
    ] = None
    latency_p95_us: Annotated[Real | None, Gauge("us"), Spoken("response time", "service latency")] = None
    latency_p99_us: Annotated[Real | None, Gauge("us")] = None
    latency_max_us: Annotated[Real | None, Gauge("us")] = None
    queue_us: Annotated[Real | None, Delta("us"), Means("sum; from arrival until the server reads it")] = None
    queue_p50_us: Annotated[Real | None, Gauge("us")] = None
    queue_p95_us: Annotated[Real | None, Gauge("us")] = None
    queue_p99_us: Annotated[Real | None, Gauge("us")] = None
    service_us: Annotated[Real | None, Delta("us"), Means("sum; from reading until the answer leaves")] = None
    service_p50_us: Annotated[Real | None, Gauge("us")] = None
    service_p95_us: Annotated[Real | None, Gauge("us")] = None
    service_p99_us: Annotated[Real | None, Gauge("us")] = None
    in_flight: Annotated[
        Int | None, Gauge("requests"), Means("not answered yet, of connections that are no streams"),
        Spoken("unanswered request", "pending request"),
    ] = None  # fmt: skip
    unread: Annotated[Int | None, Gauge("requests"), Means("of `in_flight`, not read by the server yet")] = None
    oldest_unanswered_ms: Annotated[
        Real | None, Gauge("ms"), Means("age of the oldest of `in_flight`; NULL: there is none")
    ] = None
    oldest_is_read: Annotated[Flag | None, Label(), Means("the server has read that request")] = None
    oldest_pid: Annotated[
        Int | None, Label(), Means("process that read that request, or its connection last; NULL: none did yet")
    ] = None
    oldest_comm: Annotated[Text | None, Label()] = None
    oldest_client_pid: Annotated[
        Int | None, Label(), Means("process that waits for it; NULL: on another machine, or not known")
    ] = None
    connections: Annotated[Int | None, Gauge("connections"), Means("open, as far as seen; NULL for UDP")] = None
    accepted: Annotated[Int | None, Delta("connections"), Means("handshakes that were completed; NULL but for TCP")] = (
        None
    )
    streams: Annotated[
        Int | None,
        Gauge("connections"),
        Means(
            "of `connections`, those without requests and answers in turn: one-way, pushed or multiplexed; not timed"
        ),
    ] = None
    accept_queue: Annotated[Int | None, Gauge("connections"), Means("waiting to be accepted; NULL for UDP")] = None
    backlog: Annotated[Int | None, Gauge("connections"), Means("limit of the accept queue; NULL for UDP")] = None
    refused: Annotated[
        Int | None, Delta("connections"), Means("dropped because the accept queue was full; of UDP, datagrams")
    ] = None
    resets_sent: Annotated[Int | None, Delta("resets"), Means("connections that this machine reset")] = None
    resets_received: Annotated[Int | None, Delta("resets"), Means("connections that clients reset")] = None
    bytes_in: Annotated[Int | None, Delta("B"), Means("read by the server")] = None
    bytes_out: Annotated[Int | None, Delta("B"), Means("handed to the kernel by the server")] = None
    cgroup_id: Annotated[Int | None, Label(), Unsigned64(), Means("of `pid`")] = None


@event(
    table="service_edges",
    source="eBPF sk_data_ready, sock_recv_length, sock_send_length, inet_sock_set_state, every second",
    entity=("pid", "client_address", "protocol", "address", "port", "netns"),
    recognised_by=(("pid", "protocol", "address", "port", "requests"),),
    indexes=(("pid", "timestamp"), ("port", "timestamp"), ("server_pid", "timestamp"), ("oldest_unanswered_ms",)),
    matters=("oldest_unanswered_ms", "requests"),
)
class ServiceEdge(Event, tag="service_edge"):
    """Requests of one client to one service within one second, as the kernel of the client sees them.

    A client on this machine is a process (`pid`); its latency runs from sending a request to the arrival of the answer,
    network included. A client elsewhere is an address (`client_address`), of which only the server's side is seen.
    """

    pid: Annotated[Int | None, Label(), Means("process of the client; NULL: it is on another machine")] = None
    comm: Annotated[Text | None, Label()] = None
    client_address: Annotated[Text | None, Label(), Means("of a client on another machine; else NULL")] = None
    protocol: Annotated[Protocol | None, Label()] = None
    address: Annotated[
        Text | None, Label(), Means("that the client connected to; NULL: datagrams from a socket that is not connected")
    ] = None
    port: Annotated[Int | None, Label(), Means("NULL for Unix sockets, and where `address` is")] = None
    netns: Annotated[
        Int | None, Label(), Means("network namespace of the client, or of the server where `pid` is NULL")
    ] = None
    server_pid: Annotated[
        Int | None, Label(), Means("process that reads at the other end; NULL: another machine, or it has not read yet")
    ] = None
    server_comm: Annotated[Text | None, Label()] = None
    is_local: Annotated[Flag | None, Label(), Means("the service is on this machine; NULL: not known")] = None
    requests: Annotated[Int | None, Delta("requests"), Means("runs of output that began")] = None
    answers: Annotated[Int | None, Delta("answers"), Means("requests whose first answering bytes arrived")] = None
    abandoned: Annotated[
        Int | None, Delta("requests"), Means("not answered when the connection ended: the client gave up, or it broke")
    ] = None
    latency_us: Annotated[Real | None, Delta("us"), Means("sum over `latency_count` answers")] = None
    latency_count: Annotated[Int | None, Delta("answers"), Means("answers that the figures of latency stand for")] = (
        None
    )
    latency_p50_us: Annotated[
        Real | None, Gauge("us"), Means("from sending to the arrival of the answer; NULL: no answer was timed")
    ] = None
    latency_p95_us: Annotated[Real | None, Gauge("us")] = None
    latency_p99_us: Annotated[Real | None, Gauge("us")] = None
    latency_max_us: Annotated[Real | None, Gauge("us")] = None
    in_flight: Annotated[Int | None, Gauge("requests"), Means("sent and not answered yet; streams are left out")] = None
    oldest_unanswered_ms: Annotated[
        Real | None,
        Gauge("ms"),
        Means("age of the oldest of `in_flight` and `connecting`; NULL: nothing is waited for"),
    ] = None
    connections: Annotated[Int | None, Gauge("connections"), Means("open, as far as seen; of UDP, sockets")] = None
    streams: Annotated[
        Int | None, Gauge("connections"), Means("of `connections`, as in `service_stats`; not timed")
    ] = None
    connecting: Annotated[Int | None, Gauge("connections"), Means("not answered by the other side yet (SYN_SENT)")] = (
        None
    )
    connects: Annotated[Int | None, Delta("connections"), Means("handshakes that were completed")] = None
    refused: Annotated[
        Int | None, Delta("connections"), Means("attempts that failed: refused, unreachable, timed out or given up")
    ] = None
    resets: Annotated[Int | None, Delta("resets"), Means("connections that the other side reset")] = None
    bytes_sent: Annotated[Int | None, Delta("B")] = None
    bytes_received: Annotated[Int | None, Delta("B")] = None
    cgroup_id: Annotated[Int | None, Label(), Unsigned64(), Means("of the client's process")] = None
