"""Page faults that take long, or that are very many."""

from __future__ import annotations

from kernelsight.events.memory import PageFault, PageFaultStats
from kernelsight.events.process import Process
from kernelsight.signals.model import Measure, rule
from kernelsight.signals.registry import declare

MINOR_FAULTS_PER_S = 250_000
"""From which on `minor_fault_storm` is raised."""
FAULT_TIME_PERCENT = 30
"""Of a CPU, from which on `fault_time` is raised."""

declare(
    __name__,
    rule(
        "slow_page_fault",
        PageFault,
        Measure(of=(PageFault.latency_ns,), scale=1e-6, unit="ms", function="max"),
        scope="program",
        by=(PageFault.comm,),
        levels={"warning": 100},
        because="a page from a disk takes some 10 ms; 0.1 s is noticed, 1 s interrupts (Nielsen 1993)",
        healthy="a disk that must spin up: once",
        summary="a page fault of {comm} ({pid}) took {amount}",
    ),
    rule(
        "fault_time",
        PageFaultStats,
        Measure(of=(PageFaultStats.fault_ns,), scale=1e-7, unit="% of a CPU"),
        scope="program",
        by=(PageFaultStats.comm,),
        levels={"warning": FAULT_TIME_PERCENT},
        raise_after_s=3,
        because="faults take a third of a thread's time, as when a program starts",
        healthy="a program that starts: some seconds",
        summary="{comm} ({pid}) spends {value:.0f} % of a thread's time on page faults",
    ),
    rule(
        "major_faults",
        PageFaultStats,
        Measure(of=(PageFaultStats.major_faults,), unit="faults/s"),
        scope="program",
        by=(PageFaultStats.comm,),
        levels={"warning": 100},
        raise_after_s=3,
        because="each waits for a device: at 10 ms (a disk) a hundred take all of a thread's time. "
        "For a program that reads a file by mmap(2) this is normal",
        healthy="a program that reads a file by mmap(2): as long as it does",
        summary="{comm} ({pid}) waits for {value:,.0f} pages/s from storage",
    ),
    rule(
        "minor_fault_storm",
        Process,
        Measure(of=(Process.minor_faults,), unit="faults/s"),
        scope="program",
        by=(Process.comm,),
        levels={"warning": MINOR_FAULTS_PER_S},
        raise_after_s=4,
        because="at 4 KiB a page that is 1 GB/s of memory; no machine can keep this up, so the "
        "program frees memory and allocates it again",
        healthy="a benchmark of memory: as long as it runs",
        summary="{comm} ({pid}) allocates {value:,.0f} pages/s by faults",
    ),
)
