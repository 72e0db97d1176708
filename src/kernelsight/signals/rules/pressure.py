"""Time lost for want of CPUs, memory or I/O (Documentation/accounting/psi.rst).

Totals are used rather than the averages, which need ten seconds to tell.
"""

from __future__ import annotations

from typing import NamedTuple

from kernelsight.events.fields import Metric
from kernelsight.events.pressure import Pressure
from kernelsight.events.signal import Severity
from kernelsight.query.filters import Filter
from kernelsight.signals.model import Harm, Measure, Rule, rule
from kernelsight.signals.registry import declare

MEMORY_STALLED_PERCENT = 10
"""Of the time, from which on `memory_pressure` is raised: some task waits."""
IO_STALLED_PERCENT = 40
"""Of the time, from which on `io_stall` is raised: all tasks wait."""


class _Stall(NamedTuple):
    name: str
    resource: str
    stalled_us: Metric[Pressure]
    warning: float
    critical: float | None
    """None: never."""
    what: str
    because: str
    harm: Harm | None = None
    healthy: str = "a job in a group with memory.high, which is meant to wait: as long as it runs"


_STALLS = (
    _Stall(
        "cpu_pressure", "cpu", Pressure.some_total_us, 60, None, "some task waits for a CPU",
        "for more than half of the time, some task finds no free CPU. One waiting task of low "
        "priority is enough for 100 %, so the signal is never critical by itself",
        healthy="a task of low priority: as long as it runs",
    ),
    _Stall(
        "memory_pressure", "memory", Pressure.some_total_us, MEMORY_STALLED_PERCENT, 40, "some task waits for memory",
        "a machine with enough memory shows no such time; at 10 %, programs are slowed down by a tenth",
        Harm("wait", "programs wait for memory"),
    ),
    _Stall(
        "memory_stall", "memory", Pressure.full_total_us, 5, 30, "all tasks wait for memory",
        "no task makes progress in this time; systemd-oomd kills at 60 % over 30 s (oomd.conf(5)), which is late",
        Harm("wait", "no task makes progress"),
    ),
    _Stall(
        "io_stall", "io", Pressure.full_total_us, IO_STALLED_PERCENT, None, "all tasks wait for I/O",
        "a program that only copies waits most of the time, and a waiter of an idle io_uring counts "
        "for all of it (io_uring/io_uring.c, io_cqring_wait). Neither need be harmed",
        healthy="a copy, or a waiter of an idle io_uring: as long as it lasts",
    ),
)  # fmt: skip


def _rule(stall: _Stall, *, of_group: bool) -> Rule:
    where = (
        Filter(Pressure.resource, "=", stall.resource),
        Filter(Pressure.scope, "!=" if of_group else "=", "system"),
    )
    levels: dict[Severity, float] = {"warning": stall.warning}
    if stall.critical is not None:
        levels["critical"] = stall.critical
    return rule(
        stall.name + ("_of_group" if of_group else ""),
        Pressure,
        Measure(of=(stall.stalled_us,), scale=1e-4, unit="% of the time"),
        scope="cgroup" if of_group else "machine",
        where=where,
        levels=levels,
        raise_after_s=3,
        because=stall.because,
        harm=stall.harm,
        healthy=stall.healthy,
        summary=("in {scope} " if of_group else "") + stall.what + " in {value:.0f} % of the time",
    )


declare(__name__, *(_rule(stall, of_group=of_group) for of_group in (False, True) for stall in _STALLS))
