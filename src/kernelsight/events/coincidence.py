"""The state of the machine while calls, faults and stalls were slow."""

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
    """One minute of one kind of trouble, and the state of the machine in the seconds of that trouble.

    The means are weighted by the trouble's time, so that a second with ten slow calls counts more than one with one.
    """

    what: Annotated[Literal["slow_syscall", "page_fault", "run_queue_wait", "stall", "retransmit"] | None, Label()] = (
        None
    )
    name: Annotated[
        Text | None, Label(), Means("system call, type of fault, resource of the stall, or address that was sent to")
    ] = None
    comm: Annotated[Text | None, Label(), Means("program that suffered; NULL: the machine")] = None
    count: Annotated[Int | None, Delta("events"), Means("number of events; of stalls: seconds with a stall")] = None
    total_ms: Annotated[Real | None, Delta("ms"), Means("latencies, or time stalled, added up")] = None
    max_ms: Annotated[Real | None, Gauge("ms")] = None
    seconds: Annotated[Int | None, Delta("s"), Means("number of seconds of the minute with such trouble")] = None
    cpu_busy_pct: Annotated[
        Real | None, Gauge("%"), Means("share of all CPUs' time that was neither idle nor I/O wait")
    ] = None
    cpu_pressure_pct: Annotated[Real | None, Gauge("%"), Means("time in which some task waited for a CPU")] = None
    memory_pressure_pct: Annotated[Real | None, Gauge("%")] = None
    io_pressure_pct: Annotated[Real | None, Gauge("%")] = None
    load_1min: Annotated[Real | None, Gauge("tasks")] = None
    runnable: Annotated[Real | None, Gauge("tasks"), Means("running or waiting for a CPU")] = None
    blocked: Annotated[Real | None, Gauge("tasks"), Means("in uninterruptible sleep")] = None
    mem_available_kb: Annotated[Real | None, Gauge("KiB")] = None
    dirty_kb: Annotated[Real | None, Gauge("KiB"), Means("dirty pages and pages in writeback")] = None
    refaults: Annotated[
        Real | None, Gauge("pages/s"), Means("pages that were read again soon after their eviction")
    ] = None
    block_busy_pct: Annotated[Real | None, Gauge("%"), Means("busy time of the busiest device of each second")] = None
    block_device: Annotated[Text | None, Label(), Means("device that was most often the busiest in these seconds")] = (
        None
    )
    top_process: Annotated[
        Text | None, Label(), Means("program with the most CPU time in these seconds, except the victim")
    ] = None
    top_process_pid: Annotated[Int | None, Label()] = None
    top_process_cpu_ms: Annotated[Real | None, Delta("ms")] = None
    top_writer: Annotated[
        Text | None, Label(), Means("program that read and wrote most in these seconds, except the victim")
    ] = None
    top_writer_pid: Annotated[Int | None, Label()] = None
    top_writer_bytes: Annotated[Int | None, Delta("B")] = None
