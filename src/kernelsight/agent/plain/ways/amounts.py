"""How much of something there was."""

from __future__ import annotations

from collections.abc import Iterable

from kernelsight.agent.plain.asked import Asked, way
from kernelsight.agent.plain.ways.most import ranked
from kernelsight.agent.plain.words import called
from kernelsight.diagnosis.model import How, Step
from kernelsight.quantities import quantity

_LEVELS: tuple[tuple[How, str], ...] = (("min", "at least"), ("mean", "on average"), ("max", "at most"))


@way(
    r"\bhow (?:much|many|high|low|fast|full|busy|large|big|long)\b|\bwhat (?:is|was|are|were)\b|\baverage\b|\btotal\b",
    order=50,
    example="how much memory did postgres use?",
)
def amounts(asked: Asked) -> Iterable[Step]:
    """Of a level the least, the mean and the greatest; of what is counted the sum."""
    metric = asked.metric(
        whole=not asked.names,
        unless="how much of what? name something such as cpu, memory, disk, network, or table.column",
    )
    if metric is None:
        return
    if metric.by or metric.how in {"increase", "sum"}:
        yield from ranked(asked, metric)
        return
    for how, word in _LEVELS:
        evidence = asked.shown(metric, how)
        if evidence is not None:
            yield Step(f"{called(metric)} was {word} {quantity(evidence.value, metric.declared.unit)}", (evidence,))
