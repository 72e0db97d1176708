"""Threads that wait for a CPU, are switched too often, are blocked, or are created at a high rate."""

from __future__ import annotations

from kernelsight.events.scheduler import BlockedTask, Sched, SchedProcess, Wait
from kernelsight.query.filters import Filter
from kernelsight.signals.model import Harm, Measure, rule
from kernelsight.signals.registry import declare

_STARTS_OTHERS = ("vfork", "clone", "clone3", "fork")
_LONG_BY_DESIGN = ("delete_module", "finit_module", "init_module", "swapoff", "sync", "syncfs", "umount2")
"""They return when all data is written, all pages are read back, or a driver has found its devices."""
CHILDREN_PER_S = 300
"""From which on `fork_storm` is raised."""
BLOCKED_S = 2
"""From which on `blocked_task` is raised."""

declare(
    __name__,
    rule(
        "waits_for_cpu",
        SchedProcess,
        Measure(
            of=(SchedProcess.runqueue_ms,),
            per=(SchedProcess.cpu_time_ms, SchedProcess.runqueue_ms),
            scale=100,
            unit="% of what it wants",
            least_per=100,
        ),
        scope="program",
        by=(SchedProcess.comm,),
        levels={"warning": 50},
        raise_after_s=3,
        because="the process wants a tenth of a CPU or more and waits longer than it runs: its work "
        "takes twice as long. A process of low priority waits by design; this rule does not know priorities",
        healthy="a process of low priority: as long as it runs",
        summary="{comm} ({pid}) waits for a CPU in {value:.0f} % of the time in which it could run",
    ),
    rule(
        "scheduling_delay",
        Sched,
        Measure(of=(Sched.latency_ns,), scale=1e-6, unit="ms", function="max"),
        scope="program",
        by=(Sched.comm,),
        levels={"warning": 100},
        because="a person notices one such wait (Nielsen 1993); it is 30 times the base slice of the scheduler (3 ms, "
        "kernel/sched/fair.c)",
        healthy="a thread of low priority on busy CPUs: as long as it runs",
        summary="a thread of {comm} ({pid}) waited {amount} for a CPU",
    ),
    rule(
        "tiny_time_slices",
        SchedProcess,
        Measure(
            of=(SchedProcess.context_switches,),
            per=(SchedProcess.cpu_time_ms,),
            unit="switches per ms of CPU time",
            least_per=200,
        ),
        scope="program",
        by=(SchedProcess.comm,),
        levels={"warning": 50},
        raise_after_s=3,
        because="a switch costs 4 µs, without the cost of cold caches (Li, Ding, Shen: Quantifying the cost of context "
        "switch, 2007): at slices of 20 µs a fifth of the time, at 5 µs nearly all",
        healthy="a program that passes single messages on: as long as it does",
        summary="{comm} ({pid}) is switched {value:,.0f} times in each millisecond of its CPU time",
    ),
    rule(
        "fork_storm",
        SchedProcess,
        Measure(of=(SchedProcess.forks,), unit="children/s"),
        scope="program",
        by=(SchedProcess.comm,),
        levels={"warning": CHILDREN_PER_S},
        raise_after_s=3,
        because="the start and end of a program take 1 ms of CPU time or more: 300 a second cost a third of a CPU",
        healthy="a build, or a shell script over many files: as long as it runs",
        summary="{comm} ({pid}) starts {value:,.0f} children a second",
    ),
    rule(
        "blocked_task",
        BlockedTask,
        Measure(of=(BlockedTask.blocked_ms,), scale=1e-3, unit="s", function="max"),
        scope="program",
        by=(BlockedTask.comm,),
        levels={"warning": BLOCKED_S},
        clear_after_s=5,
        because="a working device answers within a second. Some threads of the kernel and of drivers "
        "idle in this state, and a caller of vfork(2) waits in it for the child",
        healthy="threads of the kernel and of drivers that idle in this state, and callers of vfork(2): for ever",
        summary="a thread of {comm} ({pid}) has been blocked for {amount} in {wchan}",
    ),
    rule(
        "blocked_call",
        BlockedTask,
        Measure(of=(BlockedTask.blocked_ms,), scale=1e-3, unit="s", function="max"),
        scope="program",
        by=(BlockedTask.comm,),
        # Threads of the kernel are in no call, and who has started a child by vfork(2) waits for it to begin.
        where=(Filter(BlockedTask.syscall_name, "!=", (*_STARTS_OTHERS, *_LONG_BY_DESIGN)),),
        levels={"critical": 10},
        clear_after_s=5,
        because="the kernel lets a disk request run for 30 s (SD_TIMEOUT, drivers/scsi/sd.h); no caller is as patient",
        harm=Harm("wait", "a program's call does not return"),
        healthy="a copy that ends with one fsync(2) of all its data: once",
        summary="a {syscall_name} of {comm} ({pid}) has not returned for {value:,.0f} s: it is blocked in {wchan}",
    ),
    rule(
        "blocked_time",
        Wait,
        Measure(of=(Wait.wait_ns,), scale=1e-6, unit="ms/s"),
        scope="program",
        by=(Wait.comm,),
        where=(Filter(Wait.state, "=", "uninterruptible"),),
        levels={"warning": 500},
        raise_after_s=3,
        because="the threads spend half of one thread's time in uninterruptible sleep; for a copy this is normal",
        healthy="a copy: as long as it lasts",
        summary="the threads of {comm} ({pid}) are blocked for {amount} in a second",
    ),
)
