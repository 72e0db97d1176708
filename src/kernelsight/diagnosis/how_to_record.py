"""How collectors can be made to record what an answer needs."""

from __future__ import annotations

from collections.abc import Sequence

from kernelsight.diagnosis.window import Window
from kernelsight.events.collector import CollectorReport


def how_to_get(names: Sequence[str], window: Window) -> str:
    """What to do so that kinds of event are recorded, in words; with the reason of each collector that gave one."""
    from kernelsight.collectors.base import current_name  # noqa: PLC0415 - loads all of them, and is seldom needed
    from kernelsight.collectors.yielding import yielding  # noqa: PLC0415

    collectors = yielding(names)
    reports = [report for report in window.rows(CollectorReport) if report.status != "running"]
    reasons = {current_name(report.name or ""): report.reason for report in reports}
    said = [f"{name} does not run ({reasons[name]})" for name in collectors if reasons.get(name)]
    if said:
        return "; ".join(said)
    return f"there are no rows of the collectors {', '.join(collectors)}; `kernelsight start` runs them"
