"""Reports of the collectors about themselves."""

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
    """State of one collector: its source, its cost, and the events that it could not record."""

    name: Annotated[Text | None, Label()] = None
    source: Annotated[Text | None, Label(), Means("source that the collector uses, such as procfs or bpf")] = None
    status: Annotated[Literal["running", "unavailable", "failed"] | None, Label()] = None
    reason: Annotated[
        Text | None,
        Label(),
        Means("why the collector does not run, or which columns stay empty and why, and what to do"),
    ] = None
    events: Annotated[Count | None, Counter("events"), Means("events written since the collector started")] = None
    runs: Annotated[Count | None, Counter("runs")] = None
    failures: Annotated[Count | None, Counter("runs"), Means("runs that raised an error")] = None
    missed: Annotated[
        Count | None, Counter("runs"), Means("seconds of the grid that the collector skipped because it was late")
    ] = None
    lost: Annotated[
        Count | None, Counter("events"), Means("events dropped in the kernel because a ring buffer or map was full")
    ] = None
    left_out: Annotated[
        Count | None,
        Counter("rows"),
        Means("events not written because their kind had more in a second than it may have"),
    ] = None
    not_understood: Annotated[
        Count | None,
        Counter("times"),
        Means("fields, lines and entities left out because the kernel's data was not as expected"),
    ] = None
    cpu_ns: Annotated[Count | None, Counter("ns"), Means("CPU time of the collector's own runs")] = None
    last_duration_ns: Annotated[Int | None, Gauge("ns")] = None
    kinds: Annotated[
        Text | None,
        Label(),
        Means("kinds of event that the collector yields, separated by ','; NULL: the kind of its name"),
    ] = None
    pid: Annotated[Int | None, Label(), Means("process in which the collector runs")] = None
    supervisor_pid: Annotated[
        Int | None,
        Label(),
        Means("process that started this part and the others; NULL: the collector was started alone"),
    ] = None
    run: Annotated[
        Int | None,
        Label("ns"),
        Means("start of this run of `kernelsight collect`, since the epoch"),
    ] = None
    printed: Annotated[
        Text | None,
        Label(),
        Means("lines of each kind that the run printed before this line, as kind=count, separated by ','"),
    ] = None
    sampled_every: Annotated[
        Int | None,
        Gauge("seconds"),
        Means("one second in so many is sampled; more than 1: collecting costs more than it may (`--max-cpu`)"),
    ] = None
    memory_kb: Annotated[
        Int | None, Gauge("KiB"), Means("what resident memory grew by while the collector was opened and read")
    ] = None
    process_cpu_ns: Annotated[
        Count | None, Counter("ns"), Means("CPU time of the process with all its collectors and threads")
    ] = None
    process_rss_kb: Annotated[
        Int | None, Gauge("KiB"), Means("resident memory of the process with all its collectors")
    ] = None
