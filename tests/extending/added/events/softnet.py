"""What each CPU does with packets that arrive."""

from __future__ import annotations

from typing import Annotated

from kernelsight.events.declare import Count, Counter, Event, Int, Label, Means, event


@event(
    table="softnet_stats",
    source="/proc/net/softnet_stat",
    entity=("cpu",),
    recognised_by=(("cpu", "time_squeeze"),),
)
class Softnet(Event, tag="softnet"):
    """Packets that one CPU took from devices since boot (net/core/net-procfs.c, softnet_seq_show)."""

    cpu: Annotated[Int | None, Label()] = None
    processed: Annotated[Count | None, Counter("packets", bits=32)] = None
    dropped: Annotated[Count | None, Counter("packets", bits=32), Means("its backlog was full")] = None
    time_squeeze: Annotated[
        Count | None, Counter("times", bits=32), Means("packets were left when its time was over")
    ] = None
