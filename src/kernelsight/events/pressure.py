"""Pressure stall information: time lost for want of CPU, memory or I/O."""

from typing import Annotated, Literal

from kernelsight.events.declare import Count, Counter, Event, Gauge, Label, Means, Real, Spoken, Text, event


@event(
    table="pressure_stall",
    source="/proc/pressure/*, cgroup v2 *.pressure",
    entity=("resource", "scope"),
    foreign=("psi", "pressure_stall"),
    recognised_by=(("resource", "some_avg10"), ("some_total_us",)),
    indexes=(("resource", "scope", "timestamp"), ("some_avg10",)),
)
class Pressure(Event, tag="pressure"):
    """Stalls of one resource (Documentation/accounting/psi.rst)."""

    resource: Annotated[Literal["cpu", "memory", "io", "irq"] | None, Label()] = None
    scope: Annotated[Text | None, Label(), Means("`system`, or the path of a cgroup")] = None
    some_avg10: Annotated[
        Real | None, Gauge("%"), Means("time in which some task stalled, over 10 s"), Spoken("pressure", "stall", "psi")
    ] = None
    some_avg60: Annotated[Real | None, Gauge("%")] = None
    some_avg300: Annotated[Real | None, Gauge("%")] = None
    some_total_us: Annotated[Count | None, Counter("us")] = None
    full_avg10: Annotated[Real | None, Gauge("%"), Means("time in which all tasks stalled, over 10 s")] = None
    full_avg60: Annotated[Real | None, Gauge("%")] = None
    full_avg300: Annotated[Real | None, Gauge("%")] = None
    full_total_us: Annotated[Count | None, Counter("us")] = None
