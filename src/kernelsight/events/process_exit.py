"""How processes end."""

from typing import Annotated

from kernelsight.events.declare import Delta, Event, Flag, Int, Label, Means, Real, Text, Unsigned64, event


@event(
    table="process_exits",
    source="eBPF sched_process_exit, every second",
    entity=("parent_pid", "comm", "exit_status", "exit_signal"),
    recognised_by=(("parent_pid", "exit_status"), ("parent_pid", "exit_signal")),
    indexes=(("comm", "timestamp"), ("parent_pid", "timestamp")),
    most_per_s=50,
    matters=("failed", "count"),
)
class ProcessExit(Event, tag="process_exit"):
    """Processes of one name and one parent that ended alike within one second."""

    parent_pid: Annotated[Int | None, Label()] = None
    parent_comm: Annotated[Text | None, Label()] = None
    comm: Annotated[Text | None, Label(), Means("of the processes that ended")] = None
    pid: Annotated[Int | None, Label(), Means("of the last one of them")] = None
    exit_status: Annotated[Int | None, Label(), Means("as exit(3) gave it; NULL: a signal ended them")] = None
    exit_signal: Annotated[Int | None, Label(), Means("signal that ended them; NULL: none")] = None
    dumped_core: Annotated[Flag | None, Label()] = None
    executed: Annotated[
        Flag | None, Label(), Means("whether they had executed a program, and were no mere copies of their parent")
    ] = None
    count: Annotated[Int | None, Delta("processes")] = None
    failed: Annotated[Int | None, Delta("processes"), Means("of these, those with a status but 0, or a signal")] = None
    lifetime_ms: Annotated[Real | None, Delta("ms"), Means("summed over the processes")] = None
    cgroup_id: Annotated[Int | None, Label(), Unsigned64()] = None
