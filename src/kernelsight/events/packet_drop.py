"""Packets that the kernel drops."""

from __future__ import annotations

from typing import Annotated, Literal

from kernelsight.events.declare import Delta, Event, Int, Label, Means, Spoken, Text, event


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
