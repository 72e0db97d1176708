"""Queues of packets that wait to be sent."""

from __future__ import annotations

from typing import Annotated

from kernelsight.events.declare import Count, Counter, Event, Gauge, Int, Label, Means, Spoken, Text, event


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
