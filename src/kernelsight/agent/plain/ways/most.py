"""Who or what has most of something, or least of what runs out."""

from __future__ import annotations

from collections.abc import Iterable, Iterator

from kernelsight.agent.plain.asked import Asked, way
from kernelsight.agent.plain.topics import Metric
from kernelsight.agent.plain.words import called, whom
from kernelsight.diagnosis.model import Step
from kernelsight.quantities import quantity
from kernelsight.query.filters import Condition
from kernelsight.query.rows import Row
from kernelsight.query.top import top

_MOST_GROUPS = 1_000


@way(
    r"\b(?:who|whose|which|top|most|least|biggest|largest|heaviest|busiest|slowest|fullest|hog\w*|list|show)\b",
    order=40,
    example="who used most memory in the last 10 minutes?",
)
def most(asked: Asked) -> Iterable[Step]:
    """The processes, devices or whatever the topic is told apart by, greatest first."""
    metric = asked.metric(
        whole=False, unless="most of what? name something such as cpu, memory, disk, network, or table.column"
    )
    return ranked(asked, metric) if metric else ()


def ranked(asked: Asked, metric: Metric) -> Iterator[Step]:
    """One claim a group, each with its number."""
    where = asked.conditions(metric)
    found = [
        (row, asked.shown(metric, where=[*where, *(Condition(column, "=", row[column]) for column in metric.by)]))
        for row in _groups(asked, metric, where)
    ]
    if not any(evidence is not None and (evidence.value or metric.least) for _, evidence in found):
        asked.limits.append(f"in that time nobody and nothing had any {called(metric)}")
        return
    for row, evidence in found:
        if evidence is not None and (evidence.value or metric.least):
            what = f"{called(metric)} {quantity(evidence.value, metric.declared.unit)}"
            yield Step(f"{whom(row, metric.by)}: {what}" if metric.by else what, (evidence,))


def _groups(asked: Asked, metric: Metric, where: list[Condition]) -> list[Row]:
    if not metric.by:
        return [{}]
    when = asked.when
    wanted = _MOST_GROUPS if metric.least else asked.count
    found = top(
        asked.reader, metric.table, metric.column, when.start_ns, when.end_ns, by=metric.by, n=wanted, where=where
    )
    return found[::-1][: asked.count] if metric.least else found
