"""Processes that wait instead of running, or are near one of their limits."""

from __future__ import annotations

from kernelsight.events.process import Process
from kernelsight.query.filters import Filter
from kernelsight.signals.model import Harm, Measure, if_known, rule
from kernelsight.signals.registry import declare

DESCRIPTORS_USED_PERCENT = 80
"""From which on `descriptors_near_limit` is raised."""
WAITS_FOR_CPU_MS_PER_S = 500
"""From which on `process_waits_for_cpu` is raised."""
WAITS_FOR_IO_MS_PER_S = 500
"""From which on `process_waits_for_io` is raised."""
WAITS_FOR_MEMORY_MS_PER_S = 100
"""From which on `process_waits_for_memory` is raised."""
_DELAYS = "delay accounting (Documentation/accounting/delay-accounting.rst)"

declare(
    __name__,
    rule(
        "descriptors_near_limit",
        Process,
        Measure(of=(Process.fds,), per=(Process.fd_limit,), scale=100, unit="%", least_per=1),
        scope="process",
        levels={"warning": DESCRIPTORS_USED_PERCENT, "critical": 99.9},
        raise_after_s=1,
        because="at the limit open(2), accept(2) and socket(2) fail with EMFILE (getrlimit(2), RLIMIT_NOFILE)",
        harm=Harm("exhaustion", "no descriptor is left: the process can open and accept nothing"),
        summary="{comm} ({pid}) has {value:.0f} % of its allowed descriptors open",
    ),
    rule(
        "process_waits_for_cpu",
        Process,
        Measure(of=(Process.cpu_delay_ns,), scale=1e-6, unit="ms/s"),
        scope="program",
        by=(Process.comm,),
        where=(Filter(Process.nice, "<=", 0),),  # who was told to give way waits as it should
        levels={"warning": WAITS_FOR_CPU_MS_PER_S},
        raise_after_s=3,
        because=f"its threads are runnable without a CPU for half of one thread's time; {_DELAYS}",
        healthy="a build with more jobs than CPUs, or a server with hundreds of threads: as long as they run",
        summary="the threads of {comm} ({pid}) wait {amount} in a second for a CPU",
    ),
    rule(
        "process_waits_for_io",
        Process,
        Measure(of=(Process.blkio_delay_ns,), scale=1e-6, unit="ms/s"),
        scope="program",
        by=(Process.comm,),
        levels={"warning": WAITS_FOR_IO_MS_PER_S},
        raise_after_s=3,
        because="its threads wait for block I/O for half of one thread's time. For a copy or a "
        f"backup this is normal, so the signal is never critical by itself; {_DELAYS}",
        healthy="a copy or a backup: as long as it lasts",
        summary="the threads of {comm} ({pid}) wait {amount} in a second for block I/O",
    ),
    rule(
        "process_waits_for_memory",
        Process,
        Measure(
            of=(
                if_known(Process.reclaim_delay_ns),
                if_known(Process.thrashing_delay_ns),
                if_known(Process.swapin_delay_ns),
            ),
            scale=1e-6,
            unit="ms/s",
        ),
        scope="program",
        by=(Process.comm,),
        levels={"warning": WAITS_FOR_MEMORY_MS_PER_S, "critical": 5 * WAITS_FOR_MEMORY_MS_PER_S},
        raise_after_s=2,
        because=f"enough memory would save all of the time in reclaim, thrashing and swap-in; {_DELAYS}",
        harm=Harm("wait", "its threads wait for memory instead of running"),
        summary="the threads of {comm} ({pid}) wait {amount} in a second for memory",
    ),
)
