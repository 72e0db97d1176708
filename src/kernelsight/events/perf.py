"""Performance counters of the CPUs."""

from __future__ import annotations

from typing import Annotated

from kernelsight.events.declare import Counter, Event, Gauge, Int, Label, Means, Real, event


@event(
    table="perf_counters",
    source="perf_event_open(2), per CPU",
    entity=("cpu",),
    foreign=("perf_counters", "pmu"),
    recognised_by=(("cycles", "instructions"), ("cpu", "task_clock")),
    indexes=(("cpu", "timestamp"),),
)
class Perf(Event, tag="perf"):
    """Counters of one CPU since the collector started; NULL where the machine has no such counter."""

    cpu: Annotated[Int | None, Label()] = None
    cycles: Annotated[Int | None, Counter("cycles")] = None
    instructions: Annotated[Int | None, Counter("instructions")] = None
    cache_references: Annotated[Int | None, Counter("references")] = None
    cache_misses: Annotated[Int | None, Counter("misses")] = None
    branch_misses: Annotated[Int | None, Counter("misses")] = None
    task_clock: Annotated[Int | None, Counter("ns")] = None
    context_switches: Annotated[Int | None, Counter("switches")] = None
    cpu_migrations: Annotated[Int | None, Counter("migrations")] = None
    page_faults: Annotated[Int | None, Counter("faults")] = None
    scaling: Annotated[
        Real | None, Gauge(), Means("share of the time counted; below 1 the hardware counters are scaled up")
    ] = None
