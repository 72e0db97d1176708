"""What programs compute: stacks of running threads, sampled by a timer."""

from typing import Annotated, Literal

from kernelsight.events.declare import Delta, Event, Int, Label, Means, Text, Unsigned64, event


@event(
    table="stack_samples",
    source="eBPF on a software perf event (CPU clock), 19 times a second on every CPU",
    entity=("pid", "user_stack_id", "kernel_stack_id"),
    recognised_by=(("samples", "user_stack_id"),),
    indexes=(("pid", "timestamp"),),
    most_per_s=400,
    matters=("samples",),
)
class StackSample(Event, tag="stack_sample"):
    """How often a process was seen to compute with this stack, within the last second."""

    pid: Annotated[Int | None, Label(), Means("process; its threads are counted together")] = None
    comm: Annotated[Text | None, Label()] = None
    user_stack_id: Annotated[Int | None, Label(), Means("stack of the program, in `stacks`; NULL: there is none")] = (
        None
    )
    kernel_stack_id: Annotated[
        Int | None, Label(), Means("stack of the kernel, in `stacks`; NULL: the program itself ran")
    ] = None
    samples: Annotated[Int | None, Delta("samples")] = None
    cpu_ns: Annotated[Int | None, Delta("ns"), Means("CPU time that the samples stand for")] = None
    cgroup_id: Annotated[Int | None, Label(), Unsigned64()] = None


@event(
    table="fault_stacks",
    source="eBPF on a software perf event (page faults), every 97th on each CPU, while a probe asks for it",
    entity=("pid", "user_stack_id", "kernel_stack_id"),
    recognised_by=(("faults", "user_stack_id"),),
    indexes=(("pid", "timestamp"),),
    most_per_s=400,
    matters=("faults",),
)
class FaultStack(Event, tag="fault_stack"):
    """How many page faults a process had with this stack within the last second, by every 97th of them."""

    pid: Annotated[Int | None, Label(), Means("process; its threads are counted together")] = None
    comm: Annotated[Text | None, Label()] = None
    user_stack_id: Annotated[Int | None, Label(), Means("stack of the program, in `stacks`; NULL: there is none")] = (
        None
    )
    kernel_stack_id: Annotated[
        Int | None, Label(), Means("stack of the kernel, in `stacks`; NULL: the program itself faulted")
    ] = None
    faults: Annotated[Int | None, Delta("faults"), Means("that the stack was met at, times 97")] = None
    cgroup_id: Annotated[Int | None, Label(), Unsigned64()] = None


@event(
    table="stacks",
    source="eBPF bpf_get_stack, /proc/PID/maps",
    entity=("stack_id",),
    recognised_by=(("stack_id", "frames"),),
    indexes=(("stack_id",),),
    interval_s=None,
    most_per_s=40,
)
class Stack(Event, tag="stack"):
    """The frames of a stack that samples name; written when it is first seen, and again while it is in use."""

    stack_id: Annotated[Int | None, Label(), Means("a hash of the frames")] = None
    space: Annotated[Literal["user", "kernel"] | None, Label()] = None
    pid: Annotated[Int | None, Label(), Means("a process that had it; the only one where frames are of no file")] = None
    frames: Annotated[
        Text | None,
        Label(),
        Means(
            "JSON: files as [path, build id, device and inode]; frames, innermost first, as [file, offset], or "
            "[-1, address] where they are of no file; of the kernel `function+offset`"
        ),
    ] = None
    ends: Annotated[
        Literal["whole", "depth", "unmapped", "thinned", "scanned"] | None,
        Label(),
        Means(
            "why it has no more frames: there are none that the kernel sees; the kernel tells no more; the next one is "
            "no code; or only the innermost are kept, as there were too many new stacks. `scanned`: the caller of the "
            "C library was found on the stack, as the first word that a call returns to"
        ),
    ] = None
