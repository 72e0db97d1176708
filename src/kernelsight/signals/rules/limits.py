"""Limits of the kernel that are nearly used up."""

from __future__ import annotations

from kernelsight.events.limit import Limit
from kernelsight.signals.model import Measure, rule
from kernelsight.signals.registry import declare

declare(
    __name__,
    rule(
        "kernel_limit_near",
        Limit,
        Measure(of=("used",), per=("maximum",), scale=100, unit="%", least_per=1),
        scope="limit",
        levels={"warning": 90, "critical": 99.9},
        raise_after_s=0,
        clear_after_s=20,
        because="these limits are set far above what is usual, and whoever asks for one more than that is refused, "
        "whatever the machine has left (Documentation/admin-guide/sysctl)",
        harm="nothing is left: the next call that needs one fails",
        summary="{limit_name} is used up to {value:.0f} %",
    ),
)
