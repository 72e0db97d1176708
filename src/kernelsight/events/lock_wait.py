"""Locks that threads wait for, and where the waiters and the holder stand."""

from typing import Annotated, Literal

from kernelsight.events.declare import Event, Gauge, Int, Label, Means, Real, Text, Unsigned64, event


@event(
    table="lock_waits",
    source="eBPF iter/task: threads that wait for a futex; the word and the stacks by /proc/PID/mem",
    entity=("pid", "word"),
    recognised_by=(("word", "waiters"),),
    indexes=(("pid", "timestamp"),),
    most_per_s=40,
    matters=("waiters", "longest_ms"),
)
class LockWait(Event, tag="lock_wait"):
    """A lock of a program for which a thread has waited for more than 10 ms at that moment, and still does."""

    pid: Annotated[Int | None, Label()] = None
    comm: Annotated[Text | None, Label()] = None
    word: Annotated[Int | None, Label(), Unsigned64(), Means("address of the futex in the process")] = None
    waiters: Annotated[Int | None, Gauge("threads"), Means("that have waited for more than 10 ms")] = None
    longest_ms: Annotated[Real | None, Gauge("ms"), Means("how long the one that came first has waited so far")] = None
    waiter_tid: Annotated[Int | None, Label(), Means("the thread that came first")] = None
    waiter_stack_id: Annotated[Int | None, Label(), Means("its stack, in `stacks`")] = None
    holder_tid: Annotated[
        Int | None, Label(), Means("thread that has the lock, by the word or the mutex around it; NULL: not known")
    ] = None
    holder_comm: Annotated[Text | None, Label(), Means("name of that thread")] = None
    holder_state: Annotated[
        Literal["running", "sleeping"] | None, Label(), Means("whether it runs, or waits for a CPU, or sleeps")
    ] = None
    holder_call: Annotated[Text | None, Label(), Means("system call in which it sleeps")] = None
    holder_stack_id: Annotated[Int | None, Label(), Means("its stack while it sleeps, in `stacks`")] = None
    cgroup_id: Annotated[Int | None, Label(), Unsigned64()] = None
