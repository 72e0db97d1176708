"""The load of the CPUs, and the time that programs cannot use.

The ticks of all states together are 100 (USER_HZ) a second and CPU, which is how the CPUs are counted.
"""

from __future__ import annotations

from kernelsight.events.scheduler import Cpu
from kernelsight.query.filters import Filter
from kernelsight.signals.model import Harm, Measure, minus, rule
from kernelsight.signals.registry import declare

_ALL = (Cpu.user, Cpu.nice, Cpu.system, Cpu.idle, Cpu.iowait, Cpu.irq, Cpu.softirq, Cpu.steal)
_MACHINE = (Filter(Cpu.cpu, "=", -1),)
_USER_HZ = 100
STOLEN_PERCENT = 10
"""From which on `cpu_stolen` is raised."""
INTERRUPTS_PERCENT = 50
"""Of one CPU, from which on `softirq_bound_cpu` is raised."""

declare(
    __name__,
    rule(
        "run_queue_long",
        Cpu,
        Measure(of=(Cpu.procs_running,), per=_ALL, scale=_USER_HZ, unit="tasks per CPU"),
        scope="machine",
        where=_MACHINE,
        levels={"warning": 3},
        clear_below=2,
        raise_after_s=4,
        because="three tasks for one CPU get a third of it each. Tasks of low priority may wait by "
        "design; process_waits_for_cpu names the slowed programs",
        healthy="a build with more jobs than CPUs, or tasks of low priority: as long as they run",
        summary="{value:.1f} tasks for each CPU are running or waiting to",
    ),
    rule(
        "many_tasks_blocked",
        Cpu,
        Measure(of=(Cpu.procs_blocked,), per=_ALL, scale=_USER_HZ, unit="tasks per CPU"),
        scope="machine",
        where=_MACHINE,
        levels={"warning": 2},
        clear_below=1,
        raise_after_s=4,
        because="more tasks wait for I/O than the CPUs could run. Copies always wait for I/O, and a "
        "waiter of an idle io_uring counts as well",
        healthy="copies, or waiters of an idle io_uring: as long as they last",
        summary="{value:.1f} tasks for each CPU are blocked",
    ),
    rule(
        "cpus_busy",
        Cpu,
        Measure(of=(Cpu.user, Cpu.nice, Cpu.system, Cpu.irq, Cpu.softirq, Cpu.steal), per=_ALL, scale=100, unit="%"),
        scope="machine",
        where=_MACHINE,
        levels={"info": 95},
        raise_after_s=9,
        because="no CPU time is left; that is a fault only if a task waits (waits_for_cpu, cpu_pressure)",
        healthy="a batch job: as long as it runs",
        summary="the CPUs are {value:.0f} % busy",
    ),
    rule(
        "cpu_stolen",
        Cpu,
        Measure(of=(Cpu.steal,), per=_ALL, scale=100, unit="%"),
        scope="machine",
        where=_MACHINE,
        levels={"warning": STOLEN_PERCENT},
        raise_after_s=4,
        because="the hypervisor takes a tenth of the CPU time that programs here count on "
        "(Documentation/filesystems/proc.rst, steal)",
        healthy="a job of low priority on a machine whose host is full: as long as it runs",
        summary="the hypervisor takes {value:.0f} % of the CPU time",
    ),
    rule(
        "cpu_stolen_from_work",
        Cpu,
        Measure(of=(Cpu.steal, minus(Cpu.nice)), per=_ALL, scale=100, unit="%"),
        scope="machine",
        where=_MACHINE,
        levels={"critical": 30},
        raise_after_s=4,
        because="the hypervisor takes a third of the CPU time from programs that were not told to give way: what those "
        "of low priority (nice) use is left out, as they may be the ones that it is taken from",
        harm=Harm("wait", "programs take half as long again for the same work"),
        summary="the hypervisor takes {value:.0f} % of the CPU time from programs of ordinary priority",
    ),
    rule(
        "softirq_bound_cpu",
        Cpu,
        Measure(of=(Cpu.irq, Cpu.softirq), per=_ALL, scale=100, unit="%"),
        scope="cpu",
        where=(Filter(Cpu.cpu, ">=", 0),),
        levels={"warning": INTERRUPTS_PERCENT},
        raise_after_s=3,
        because="a CPU that handles interrupts for half of its time has little time for programs; "
        "beyond a time budget the kernel moves soft interrupts to ksoftirqd (net.core.netdev_budget_usecs, "
        "Documentation/admin-guide/sysctl/net.rst)",
        healthy="a router or a load balancer: as long as it has traffic",
        summary="CPU {cpu} handles interrupts in {value:.0f} % of its time",
    ),
)
