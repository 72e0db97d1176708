"""Interrupts: which source raises how many on which CPU."""

from __future__ import annotations

from typing import Annotated, Literal

from kernelsight.events.declare import Count, Counter, Event, Int, Label, Means, Spoken, Text, event


@event(
    table="interrupts",
    source="/proc/interrupts, /proc/softirqs; sources with many a second",
    entity=("source", "cpu"),
    recognised_by=(("source", "cpu", "raised"),),
    indexes=(("source", "cpu", "timestamp"),),
    matters=("raised",),
)
class Interrupt(Event, tag="interrupt"):
    """Interrupts of one source on one CPU since boot, while there are many of them.

    A source and CPU has a row in each sample before which it raised 2,000 a second or more, one at the begin of such a
    time, and one after it; at most 64 at once.
    """

    source: Annotated[Text | None, Label(), Means("number of the interrupt, or its name: 36, LOC, TLB, NET_RX")] = None
    cpu: Annotated[Int | None, Label()] = None
    origin: Annotated[
        Literal["device", "processor", "softirq"] | None,
        Label(),
        Means("`processor`: timers, other CPUs, and the like; `softirq`: work that the kernel has put off"),
    ] = None
    device: Annotated[Text | None, Label(), Means("what it is for, as the kernel says it")] = None
    raised: Annotated[Count | None, Counter("interrupts", bits=32), Spoken("device interrupt", "interrupt storm")] = (
        None
    )
