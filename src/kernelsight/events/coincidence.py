"""What slow calls, faults and stalls coincided with."""

from typing import Annotated, Literal

from kernelsight.events.declare import Delta, Event, Gauge, Int, Label, Means, Real, Text, event


@event(
    table="coincidences",
    source="kernelsight signals, from the events in the store (docs/signals.md)",
    entity=("what", "name", "comm"),
    indexes=(("what", "timestamp"), ("comm", "timestamp")),
    interval_s=None,
)
class Coincidence(Event, tag="coincidence"):
    """One minute of one kind of trouble, and how the machine was in the very seconds in which it occurred.

    The means are weighted by the trouble's time, so that a second with ten slow calls counts more than one with one.
    """

    what: Annotated[Literal["slow_syscall", "page_fault", "run_queue_wait", "stall", "retransmit"] | None, Label()] = (
        None
    )
    name: Annotated[
        Text | None, Label(), Means("system call, type of fault, resource of the stall, or address that was sent to")
    ] = None
    comm: Annotated[Text | None, Label(), Means("program that it happened to; NULL: the machine")] = None
    count: Annotated[Int | None, Delta("events"), Means("for stalls: seconds with one")] = None
    total_ms: Annotated[Real | None, Delta("ms"), Means("latencies, or time stalled, added up")] = None
    max_ms: Annotated[Real | None, Gauge("ms")] = None
    seconds: Annotated[Int | None, Delta("s"), Means("different seconds of the minute in which it occurred")] = None
    cpu_busy_pct: Annotated[Real | None, Gauge("%"), Means("time of all CPUs neither idle nor waiting for I/O")] = None
    cpu_pressure_pct: Annotated[Real | None, Gauge("%"), Means("time in which some task waited for a CPU")] = None
    memory_pressure_pct: Annotated[Real | None, Gauge("%")] = None
    io_pressure_pct: Annotated[Real | None, Gauge("%")] = None
    load_1min: Annotated[Real | None, Gauge("tasks")] = None
    runnable: Annotated[Real | None, Gauge("tasks"), Means("running or waiting for a CPU")] = None
    blocked: Annotated[Real | None, Gauge("tasks"), Means("in uninterruptible sleep")] = None
    mem_available_kb: Annotated[Real | None, Gauge("KiB")] = None
    dirty_kb: Annotated[Real | None, Gauge("KiB"), Means("waiting for writeback, or under way")] = None
    refaults: Annotated[Real | None, Gauge("pages/s"), Means("pages read again soon after they were evicted")] = None
    block_busy_pct: Annotated[Real | None, Gauge("%"), Means("of the busiest device of each second")] = None
    block_device: Annotated[Text | None, Label(), Means("most often the busiest one in these seconds")] = None
    top_process: Annotated[Text | None, Label(), Means("used most CPU time in these seconds, without the victim")] = (
        None
    )
    top_process_pid: Annotated[Int | None, Label()] = None
    top_process_cpu_ms: Annotated[Real | None, Delta("ms")] = None
    top_writer: Annotated[Text | None, Label(), Means("read and wrote most in these seconds, without the victim")] = (
        None
    )
    top_writer_pid: Annotated[Int | None, Label()] = None
    top_writer_bytes: Annotated[Int | None, Delta("B")] = None
