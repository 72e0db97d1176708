"""What the collectors say of themselves."""

from typing import Annotated, Literal

from kernelsight.events.declare import Count, Counter, Event, Gauge, Int, Label, Means, Text, event


@event(
    table="collector_reports",
    source="kernelsight collect",
    entity=("name",),
    indexes=(("name", "timestamp"),),
    interval_s=10.0,
)
class CollectorReport(Event, tag="collector"):
    """How one collector fares: what it uses, how long it takes, and what it could not record."""

    name: Annotated[Text | None, Label()] = None
    source: Annotated[Text | None, Label(), Means("which of its sources it uses, such as procfs or bpf")] = None
    status: Annotated[Literal["running", "unavailable", "failed"] | None, Label()] = None
    reason: Annotated[
        Text | None, Label(), Means("why it is not running, or which columns stay empty and why, and what to do")
    ] = None
    events: Annotated[Count | None, Counter("events"), Means("written since it started")] = None
    runs: Annotated[Count | None, Counter("runs")] = None
    failures: Annotated[Count | None, Counter("runs"), Means("runs that raised an error")] = None
    missed: Annotated[Count | None, Counter("runs"), Means("seconds of the grid skipped because it was late")] = None
    lost: Annotated[Count | None, Counter("events"), Means("dropped in the kernel: ring buffer or map full")] = None
    left_out: Annotated[
        Count | None, Counter("rows"), Means("not written because there were more in a second than a kind may have")
    ] = None
    not_understood: Annotated[
        Count | None, Counter("times"), Means("fields, lines and entities left out because what the kernel said is odd")
    ] = None
    cpu_ns: Annotated[Count | None, Counter("ns"), Means("CPU time of the collector's own runs")] = None
    last_duration_ns: Annotated[Int | None, Gauge("ns")] = None
    kinds: Annotated[
        Text | None, Label(), Means("kinds of event that it yields, separated by ','; NULL: the one of its name")
    ] = None
    pid: Annotated[Int | None, Label(), Means("process that it runs in")] = None
    supervisor_pid: Annotated[
        Int | None, Label(), Means("process that started it and the other parts; NULL: started by itself")
    ] = None
    run: Annotated[
        Int | None,
        Label("ns"),
        Means("when the run of `kernelsight collect` began that it is part of, since the epoch"),
    ] = None
    printed: Annotated[
        Text | None,
        Label(),
        Means("lines of each kind that the run has printed before this one, as kind=count, separated by ','"),
    ] = None
