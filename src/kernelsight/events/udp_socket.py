"""UDP sockets."""

from __future__ import annotations

from typing import Annotated

from kernelsight.events.declare import Count, Counter, Event, Gauge, Int, Label, Means, Spoken, Text, event


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
