"""The processes, devices or groups with most of something, or with least of a resource that runs out."""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator

from kernelsight.agent.questions.intent import intent
from kernelsight.agent.questions.intents.sums import sum_up
from kernelsight.agent.questions.intents.totals import parts_of
from kernelsight.agent.questions.question import ParsedQuestion
from kernelsight.agent.questions.subjects import Metric
from kernelsight.agent.questions.words import metric_name
from kernelsight.diagnosis.model import Step
from kernelsight.quantities import quantity

_WHOSE = re.compile(r"\b(?:who|whose|whom|which|process|top|list)\b")


@intent(
    r"\b(?:who|whose|whom|which|top|most|least|biggest|busiest|worst|hog\w*|hogging|slowest|fullest|list|show|"
    r"rank\w*|eat\w*|consum\w+|responsible|process use|use up|what (?:process|be (?:use|write|read))|what "
    r"(?:use|write|read))\b",
    order=60,
    examples=("who used most memory in the last 10 minutes?", "top 5 writers", "which disk is busiest?"),
    each_subject=True,
)
def most(question: ParsedQuestion) -> Iterable[Step]:
    """The processes, devices or whatever the subject is told apart by, greatest first."""
    metric = question.metric(
        whole=question.part is not None,
        unless="most of what? name something such as cpu, memory, disk, network, or table.column",
    )
    if metric is None:
        return ()
    if question.by_process and not metric.is_of_processes and question.names:
        return _of_all_parts(question, metric)
    if not metric.by:
        if _WHOSE.search(question.plain):
            question.limits.append(f"{metric_name(metric)} is recorded for the whole machine only")
            return ()
        return sum_up(question, metric)
    return ranked(question, metric)


def _of_all_parts(question: ParsedQuestion, metric: Metric) -> Iterator[Step]:
    """The processes, where what is recorded of them does not tell the disk or interface that is named."""
    where = ", ".join(name.said for name in question.names)
    question.limits.append(
        f"{metric_name(metric)} by process is not recorded for {where} alone; the numbers are those of all together"
    )
    question.names = ()
    whole = question.metric(whole=False, unless="")
    if whole is not None and whole.is_of_processes:
        yield from ranked(question, whole)


def ranked(question: ParsedQuestion, metric: Metric) -> Iterator[Step]:
    """One claim for each, with its number."""
    parts = [part for part in parts_of(question, metric, question.count) if part.evidence.value or metric.least]
    if not parts:
        question.limits.append(f"there was no {metric_name(metric)} in that time")
        return
    word = "least" if metric.least else "most"
    for place, part in enumerate(parts):
        value = f"{metric_name(metric)} {quantity(part.evidence.value, metric.declared.unit)}"
        claim = f"{part.who}: {value}"
        if place == 0 and len(parts) > 1:
            claim += f", the {word} of all"
        yield Step(claim, (part.evidence,))
