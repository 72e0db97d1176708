"""Hardware that wears out or is worse than it was."""

from __future__ import annotations

from kernelsight.events.hardware import CpuSpeed, Link, MemoryErrors, RaidArray
from kernelsight.query.filters import Filter
from kernelsight.signals.model import MOVED, Harm, Measure, rule
from kernelsight.signals.registry import declare

declare(
    __name__,
    rule(
        "link_lost",
        Link,
        Measure(of=(Link.carrier_downs,), unit="times/s"),
        scope="interface",
        where=(Filter(Link.is_up, "=", 1), Filter(Link.has_device, "=", 1)),
        levels={"warning": MOVED},
        because="an interface that should be up has lost its link; nothing passes it until the link is back. Bridges "
        "and virtual pairs come and go with their containers",
        healthy="a cable that is plugged in anew: for a moment",
        summary="{interface_name} lost its link",
    ),
    rule(
        "cpu_too_hot",
        CpuSpeed,
        Measure(of=(CpuSpeed.core_throttles,), unit="times/s"),
        scope="CPU",
        levels={"warning": MOVED},
        because="the hardware slowed the CPU for its heat (thermal_throttle/core_throttle_count); it counts each time",
        healthy="a laptop that compiles: for minutes",
        summary="CPU {cpu} is slowed for its heat",
    ),
    rule(
        "memory_errors_corrected",
        MemoryErrors,
        Measure(of=(MemoryErrors.corrected,), unit="errors/s"),
        scope="module",
        levels={"warning": MOVED},
        because="a module that needs correction again and again fails for good more often than others (Schroeder, "
        "Pinheiro, Weber: DRAM Errors in the Wild, SIGMETRICS 2009)",
        healthy="a cosmic ray: a corrected error once in months",
        summary="memory of {controller} gave a wrong value that was corrected",
    ),
    rule(
        "memory_errors_uncorrected",
        MemoryErrors,
        Measure(of=(MemoryErrors.uncorrected,), unit="errors/s"),
        scope="module",
        levels={"critical": MOVED},
        because="the hardware could not correct the value, and the kernel ends who used it (mm/memory-failure.c)",
        harm=Harm("failure", "what was in the memory is lost; the processes that used it are killed"),
        summary="memory of {controller} gave a wrong value that could not be corrected",
    ),
    rule(
        "raid_degraded",
        RaidArray,
        Measure(of=(RaidArray.degraded,), unit="disks"),
        scope="array",
        levels={"warning": 1},
        because="an array without one of its disks loses data with the next one that fails (admin-guide/md.rst)",
        healthy="a disk that is replaced by intention: until the array is whole again",
        summary="{device_name} lacks {value:.0f} of its disks",
    ),
)
