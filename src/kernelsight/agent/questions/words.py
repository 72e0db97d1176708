"""Numbers and names in a sentence."""

from __future__ import annotations

from collections.abc import Mapping

from kernelsight.agent.questions.subjects import Metric
from kernelsight.events.declare import Event
from kernelsight.events.fields import name_of
from kernelsight.events.process import Process
from kernelsight.events.scheduler import Cpu, Wait
from kernelsight.moments import to_second

_CPU, _START = name_of(Cpu.cpu), name_of(Process.start_ticks)
_PROCESSES = (
    (name_of(Process.pid), name_of(Process.comm)),
    (name_of(Wait.waker_pid), name_of(Wait.waker_comm)),
)


def group_name(labels: Mapping[str, object]) -> str:
    """The name of what the labels of some rows tell, such as `postgres (123)`."""
    values = {name: str(value) for name, value in labels.items() if value is not None and name != _START}
    if _CPU in values:
        values[_CPU] = "all CPUs" if values[_CPU] == "-1" else f"CPU {values[_CPU]}"
    for pid, comm in _PROCESSES:
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
