"""Waits that have not ended yet."""

from __future__ import annotations

from typing import Annotated, Literal

from kernelsight.events.declare import Event, Flag, Gauge, Int, Label, Means, Real, Spoken, Text, event


@event(
    table="pending_waits",
    source="iter/task_file: when each TCP socket last sent and received data, pipes and Unix sockets that nobody reads",
    entity=("pid", "waits_for", "peer_pid", "address", "port"),
    recognised_by=(("waits_for", "waited_ms"),),
    indexes=(("pid", "timestamp"), ("peer_pid", "timestamp"), ("waited_ms",)),
    matters=("waited_ms", "connections"),
)
class PendingWait(Event, tag="pending_wait"):
    """A process that has waited for more than a second for the other end of a connection or pipe, and still does.

    Of an idle service there are no rows. Where a client waits for an answer, the clients that the service
    waits for have rows, too (`request`).
    """

    pid: Annotated[Int | None, Label(), Means("process that waits; NULL: on another machine, or not known")] = None
    comm: Annotated[Text | None, Label()] = None
    waits_for: Annotated[
        Literal["answer", "reader", "request"] | None,
        Label(),
        Means(
            "`answer`: it has sent and nothing has come back; `reader`: what it wrote into a pipe or Unix socket is "
            "not read; `request`: it has answered, and its client does not go on"
        ),
    ] = None
    peer_pid: Annotated[
        Int | None, Label(), Means("process at the other end; NULL: on another machine, or not known")
    ] = None
    peer_comm: Annotated[Text | None, Label()] = None
    peer_waits_in: Annotated[
        Text | None,
        Label(),
        Means(
            "system call in which the thread at the other end sleeps that fell asleep when the request had come; "
            "NULL: none does"
        ),
    ] = None
    peer_waits_at_terminal: Annotated[
        Flag | None,
        Label(),
        Means(
            "of a wait for a `reader`: a thread of the process at the other end sleeps in a call on a terminal, as a "
            "pager does that waits for its user; NULL: not known"
        ),
    ] = None
    transport: Annotated[Literal["tcp", "udp", "unix", "pipe"] | None, Label()] = None
    address: Annotated[Text | None, Label(), Means("of the service, on whichever side it is")] = None
    port: Annotated[Int | None, Label(), Means("of the service")] = None
    connections: Annotated[Int | None, Gauge("connections"), Means("on which it waits so, or pipes")] = None
    waited_ms: Annotated[
        Real | None,
        Gauge("ms"),
        Means("of the connection on which it has waited longest"),
        Spoken("unanswered request", "pending request", "pending answer"),
    ] = None
    shortest_ms: Annotated[Real | None, Gauge("ms"), Means("of the connection on which it has waited shortest")] = None
