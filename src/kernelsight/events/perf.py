"""Performance counters of the CPUs."""

from typing import Annotated

from kernelsight.events.declare import Count, Counter, Event, Gauge, Int, Label, Means, Real, event


@event(
    table="perf_counters",
    source="perf_event_open(2), per CPU",
    entity=("cpu",),
    foreign=("perf_counters", "pmu"),
    recognised_by=(("cycles", "instructions"), ("cpu", "task_clock")),
    indexes=(("cpu", "timestamp"),),
    most_per_s=5000,
)
class Perf(Event, tag="perf"):
    """Counters of one CPU since the collector started; NULL where the machine has no such counter."""

    cpu: Annotated[Int | None, Label()] = None
    cycles: Annotated[Count | None, Counter("cycles")] = None
    instructions: Annotated[Count | None, Counter("instructions")] = None
    cache_references: Annotated[Count | None, Counter("references")] = None
    cache_misses: Annotated[Count | None, Counter("misses")] = None
    branch_misses: Annotated[Count | None, Counter("misses")] = None
    task_clock: Annotated[Count | None, Counter("ns")] = None
    context_switches: Annotated[Count | None, Counter("switches")] = None
    cpu_migrations: Annotated[Count | None, Counter("migrations")] = None
    page_faults: Annotated[Count | None, Counter("faults")] = None
    scaling: Annotated[
        Real | None, Gauge(), Means("share of the time counted; below 1 the hardware counters are scaled up")
    ] = None
