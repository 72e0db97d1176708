"""How much there is to do for the CPUs, and what keeps them from it.

The ticks of all states together are 100 (USER_HZ) a second and CPU, which is how the CPUs are counted.
"""

from __future__ import annotations

from kernelsight.events.scheduler import Cpu
from kernelsight.query.filters import Condition
from kernelsight.signals.model import Measure, rule
from kernelsight.signals.registry import declare

_ALL = ("user", "nice", "system", "idle", "iowait", "irq", "softirq", "steal")
_MACHINE = (Condition("cpu", "=", -1),)
_USER_HZ = 100

declare(
    __name__,
    rule(
        "run_queue_long",
        Cpu,
        Measure(of=("procs_running",), per=_ALL, scale=_USER_HZ, unit="tasks per CPU"),
        scope="machine",
        where=_MACHINE,
        levels={"warning": 3},
        clear_below=2,
        raise_after_s=4,
        because="with three for one CPU each gets a third of it, for as long as this lasts; of those that were told "
        "to give way it is what they were told, so who is slowed is told by process_waits_for_cpu",
        summary="{value:.1f} tasks for each CPU are running or waiting to",
    ),
    rule(
        "many_tasks_blocked",
        Cpu,
        Measure(of=("procs_blocked",), per=_ALL, scale=_USER_HZ, unit="tasks per CPU"),
        scope="machine",
        where=_MACHINE,
        levels={"warning": 2},
        clear_below=1,
        raise_after_s=4,
        because="more tasks wait for I/O than CPUs could run if they did not; copies do so all the time, and what "
        "waits for an io_uring that is idle counts as well",
        summary="{value:.1f} tasks for each CPU are blocked",
    ),
    rule(
        "cpus_busy",
        Cpu,
        Measure(of=("user", "nice", "system", "irq", "softirq", "steal"), per=_ALL, scale=100, unit="%"),
        scope="machine",
        where=_MACHINE,
        levels={"info": 95},
        raise_after_s=9,
        because="nothing is left to give; that is a fault only where somebody waits (waits_for_cpu, cpu_pressure)",
        summary="the CPUs are {value:.0f} % busy",
    ),
    rule(
        "cpu_stolen",
        Cpu,
        Measure(of=("steal",), per=_ALL, scale=100, unit="%"),
        scope="machine",
        where=_MACHINE,
        levels={"warning": 10, "critical": 30},
        raise_after_s=4,
        because="the hypervisor runs others in a tenth of the time that programs here believe to have "
        "(Documentation/filesystems/proc.rst, steal)",
        harm="all programs run slower by a third",
        summary="{value:.0f} % of the CPU time is taken by the hypervisor",
    ),
    rule(
        "softirq_bound_cpu",
        Cpu,
        Measure(of=("irq", "softirq"), per=_ALL, scale=100, unit="%"),
        scope="cpu",
        where=(Condition("cpu", ">=", 0),),
        levels={"warning": 50},
        raise_after_s=3,
        because="a CPU that handles interrupts for half of its time has become a device's; beyond its time budget "
        "the kernel moves them to ksoftirqd (net.core.netdev_budget_usecs, "
        "Documentation/admin-guide/sysctl/net.rst)",
        summary="CPU {cpu} handles interrupts in {value:.0f} % of its time",
    ),
)
