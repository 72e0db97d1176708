"""Limits of the kernel that are nearly reached."""

from __future__ import annotations

from kernelsight.events.limit import Limit
from kernelsight.signals.model import Harm, Measure, rule
from kernelsight.signals.registry import declare

declare(
    __name__,
    rule(
        "kernel_limit_near",
        Limit,
        Measure(of=(Limit.used,), per=(Limit.maximum,), scale=100, unit="%", least_per=1),
        scope="limit",
        levels={"warning": 90, "critical": 99.9},
        raise_after_s=0,
        clear_after_s=20,
        because="these limits are far above usual use; at the limit the kernel refuses the next "
        "object, whatever the machine has left (Documentation/admin-guide/sysctl)",
        harm=Harm("exhaustion", "the limit is reached: the next call that needs such an object fails"),
        healthy="a program that sets aside all that a limit allows, as of fs.aio-max-nr: as long as it runs",
        summary="{limit_name} is used up to {value:.0f} %",
    ),
)
