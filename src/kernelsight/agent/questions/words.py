"""Numbers and names in a sentence."""

from __future__ import annotations

from collections.abc import Mapping

from kernelsight.agent.questions.subjects import Metric
from kernelsight.events.declare import Event
from kernelsight.moments import to_second


def group_name(row: Mapping[str, object], by: tuple[str, ...]) -> str:
    """The name of a group of rows, such as `postgres (123)`."""
    values = {name: str(row[name]) for name in by if row[name] is not None and name != "start_ticks"}
    if "cpu" in values:
        values["cpu"] = "all CPUs" if values["cpu"] == "-1" else f"CPU {values['cpu']}"
    for pid, comm in (("pid", "comm"), ("waker_pid", "waker_comm")):
        if pid in values and comm in values:
            rest = ", ".join(value for name, value in values.items() if name not in {pid, comm})
            return f"{values[comm]} ({values[pid]}){': ' if rest else ''}{rest}"
    return ", ".join(values.values())


def metric_name(metric: Metric) -> str:
    """What a metric is called in a sentence."""
    return metric.column.removesuffix(f"_{metric.declared.unit.lower()}").removesuffix("_kb").replace("_", " ")


def at(row: Event) -> str:
    """When a row was, to the second."""
    return to_second(row.timestamp)
