"""How fast CPUs may run within a window, and how much work they have meanwhile."""

from __future__ import annotations

from collections.abc import Sequence

from kernelsight.diagnosis.contention import of_all_cpus, spent_by_cpus
from kernelsight.diagnosis.cpu_time import cpu_use
from kernelsight.diagnosis.model import Entity
from kernelsight.diagnosis.threshold import Threshold
from kernelsight.diagnosis.window import Interval, Window
from kernelsight.events.hardware import CpuSpeed

BUSY_SHARE = Threshold(
    0.5,
    "share of all CPU time",
    because="judged: CPUs with less to do finish their work in time, though slower",
)
_MOST_VICTIMS = 5


def busy_share(window: Window, run: Interval) -> float | None:
    """Of all CPU time within a stretch, the share in which something ran; None where that was not recorded."""
    spent, busy = spent_by_cpus(window.during(of_all_cpus(window), run))
    whole = sum(spent.values())
    return busy / whole if whole else None


def workers(window: Window, run: Interval) -> tuple[Entity, ...]:
    """Those that used the CPUs most within a stretch."""
    uses = sorted(window.once(cpu_use), key=lambda use: -use.ran_in(run))
    return tuple(use.entity for use in uses if use.ran_in(run) > 0 and not use.is_kernel_worker)[:_MOST_VICTIMS]


def since(window: Window, rows: Sequence[CpuSpeed]) -> Interval:
    """The stretch from the first of some rows to the end of the window."""
    return Interval(window.second(rows[0]), window.second_at(window.when.end_ns))
