"""What the kernel says in its log."""

from typing import Annotated

from kernelsight.events.declare import Delta, Event, Flag, Gauge, Int, Label, Means, Text, event


@event(
    table="kernel_messages",
    source="/dev/kmsg",
    entity=("message_kind", "device", "interface_name", "pid"),
    recognised_by=(("message_kind", "from_kernel"),),
    indexes=(("message_kind", "timestamp"), ("device", "timestamp")),
    interval_s=None,
    most_per_s=40,
    matters=("importance", "count"),
)
class KernelMessage(Event, tag="kernel_message"):
    """Messages of one second in the kernel's log that say the same of the same thing, from the first of them on."""

    message_kind: Annotated[
        Text | None,
        Label(),
        Means(
            "such as `io_error`; `other`: of no kind that is known; `user`: a program wrote it, whatever it claims; "
            "docs/kernel-log.md has all"
        ),
    ] = None
    from_kernel: Annotated[Flag | None, Label(), Means("whether the kernel itself wrote it")] = None
    level: Annotated[Int | None, Label(), Means("0: emergency, 3: error, 4: warning, 6: information; syslog(2)")] = None
    importance: Annotated[
        Int | None, Gauge(), Means("7 less the level; 8 and more for messages of a known kind; rows with more are kept")
    ] = None
    count: Annotated[Int | None, Delta("messages"), Means("messages that the row stands for")] = None
    suppressed: Annotated[
        Flag | None, Label(), Means("the kernel says only how many messages it left out (`callbacks suppressed`)")
    ] = None
    earlier: Annotated[
        Flag | None,
        Label(),
        Means("said before the collector began, and still so; the timestamp is when the collector read it"),
    ] = None
    source: Annotated[Text | None, Label(), Means("prefix of the message, such as `EXT4-fs (sda1)`")] = None
    device: Annotated[Text | None, Label(), Means("device that it names")] = None
    interface_name: Annotated[Text | None, Label()] = None
    pid: Annotated[Int | None, Label(), Means("process or thread that it names")] = None
    comm: Annotated[Text | None, Label()] = None
    holder_pid: Annotated[Int | None, Label(), Means("thread that holds the lock which a hung task waits for")] = None
    holder_comm: Annotated[Text | None, Label()] = None
    cpu: Annotated[Int | None, Label()] = None
    cgroup: Annotated[Text | None, Label()] = None
    port: Annotated[Int | None, Label()] = None
    subject: Annotated[
        Text | None, Label(), Means("table that is full, kind of error, server, or place that it names")
    ] = None
    blocked_s: Annotated[Int | None, Gauge("s"), Means("how long the task or CPU was stuck, by the message")] = None
    sequence: Annotated[Int | None, Label(), Means("number of the first message in the log")] = None
    uptime_us: Annotated[
        Int | None, Label("us since boot"), Means("when it was written, on the clock of the CPU (local_clock)")
    ] = None
    text: Annotated[Text | None, Label(), Means("the first message, up to 240 characters")] = None
