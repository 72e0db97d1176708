"""What metrics amount to, by whom they are told apart."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from kernelsight.agent.questions.question import ParsedQuestion
from kernelsight.agent.questions.subjects import Metric
from kernelsight.agent.questions.words import group_name, metric_name
from kernelsight.diagnosis.model import Evidence
from kernelsight.query.filters import Filter
from kernelsight.query.top import leading

_MOST_GROUPS = 1_000


@dataclass(frozen=True, slots=True)
class Part:
    """What a metric amounts to for one of those who are told apart by it."""

    metric: Metric
    own: tuple[Filter[Any], ...]
    """Which rows are its, besides those that the question is about."""
    evidence: Evidence

    @property
    def who(self) -> str:
        """Its name; empty for the machine."""
        return group_name({condition.column: condition.value for condition in self.own})

    @property
    def what(self) -> str:
        """What it is of whom, in a few words."""
        return f"{metric_name(self.metric)}{f' of {self.who}' if self.who else ''}"


def siblings(question: ParsedQuestion, metric: Metric) -> list[Metric]:
    """The columns of the same rows that people mean by the same word, such as errors received and sent."""
    if question.subject is None:
        return [metric]
    same = [
        sibling for sibling in question.subject.metrics if sibling.table == metric.table and sibling.rank == metric.rank
    ]
    return same or [metric]


def parts_of(question: ParsedQuestion, metric: Metric, wanted: int = _MOST_GROUPS) -> list[Part]:
    """Of each who is told apart by a metric, what it amounts to; the most first, or the least of what is scarce."""
    where = question.conditions(metric)
    parts = []
    for own in _groups(question, metric, where, wanted):
        evidence = question.evidence(metric, where=[*where, *own])
        if evidence is not None:
            parts.append(Part(metric, own, evidence))
    return sorted(parts, key=lambda part: part.evidence.value if metric.least else -part.evidence.value)[:wanted]


def _groups(
    question: ParsedQuestion, metric: Metric, where: Sequence[Filter[Any]], wanted: int
) -> Sequence[tuple[Filter[Any], ...]]:
    if not metric.by:
        return [()]
    most = _MOST_GROUPS if metric.least else wanted
    groups = leading(question.reader, metric.kind.struct, metric.field, metric.by, question.when, n=most, where=where)
    return [tuple(Filter(column, "=", group.of(column)) for column in metric.by) for group in groups]
