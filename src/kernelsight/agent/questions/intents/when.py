"""When something was highest or lowest, when it passed a limit, or when what is wrong began."""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator
from itertools import pairwise

from kernelsight.agent.evidence import shown_by
from kernelsight.agent.questions.intent import intent
from kernelsight.agent.questions.intents.why import concerns
from kernelsight.agent.questions.question import ParsedQuestion
from kernelsight.agent.questions.subjects import Metric
from kernelsight.agent.questions.words import metric_name
from kernelsight.diagnosis.model import Evidence, How, Step
from kernelsight.diagnosis.naming import named, plain
from kernelsight.moments import to_second
from kernelsight.quantities import quantity
from kernelsight.query.filters import Filter, Operator, filters
from kernelsight.query.series import series
from kernelsight.query.stored import stored_rows
from kernelsight.query.times import TimeRange

_LIMIT = re.compile(
    r"\b(above|over|exceed\w*|more than|greater than|below|under|less than|fewer than|drop\w* to)\s+"
    r"(\d+(?:\.\d+)?)\s*([a-zA-Z%]*)",
    re.IGNORECASE,
)
_BELOW = ("below", "under", "less", "fewer", "drop")
_LOWEST = re.compile(r"\b(?:lowest|least|min\w*|smallest|fewest)\b", re.IGNORECASE)
_IN_BYTES = {"b": 1, "k": 2**10, "m": 2**20, "g": 2**30, "t": 2**40}
_IN_NS = {"ns": 1.0, "us": 1e3, "ms": 1e6, "s": 1e9}
_OF_UNIT = {"B": 1.0, "KiB": 1024.0, "512 B sectors": 512.0, "ns": 1.0, "us": 1e3, "ms": 1e6}


@intent(
    r"\bwhen\b|\bwhat time\b|\bhow long ago\b",
    order=45,
    examples=("when was free memory lowest today?", "when did it begin?", "when did memory drop below 1 GB?"),
)
def when(question: ParsedQuestion) -> Iterable[Step]:
    """Of a metric the moment; without one, when the findings began."""
    if question.subject is None:
        question.explains = True
        values = {str(name.value) for name in question.names}
        findings = [finding for finding in question.diagnosis.present if not values or concerns(finding, values)]
        if not findings and values:
            question.explains = False
            question.limits.append(f"no finding of that time is about {', '.join(sorted(values))}")
        for finding in findings:
            began = "before that time" if finding.began_before else f"at {to_second(finding.onset_ns)}"
            first = finding.path[0].evidence[:1]
            yield Step(f"{plain(finding.fault)} by {named(finding.culprit)} began {began}", first)
        return
    metric = question.metric(whole=not question.names, unless="")
    if metric is None:
        return
    limit = _LIMIT.search(question.text)
    if limit and metric.how == "increase":
        question.limits.append(
            f"{metric_name(metric)} is a counter since boot, so it crosses no limit; ask when it was highest"
        )
    else:
        yield from _passed(question, metric, limit) if limit else _extreme(question, metric)


def _extreme(question: ParsedQuestion, metric: Metric) -> Iterator[Step]:
    low = bool(_LOWEST.search(question.text)) or (metric.least and "highest" not in question.text)
    if metric.how == "increase" and re.search(r"\b(?:start|first)\b", question.plain):
        yield from _first_growth(question, metric)
        return
    evidence = _steepest(question, metric, low=low) if metric.how == "increase" else _highest(question, metric, low=low)
    if evidence is None:
        question.limits.append(f"{metric_name(metric)} has no value in that time")
        return
    word = "lowest" if low else "highest"
    moment = to_second(evidence.end_ns)
    seconds = f" in {quantity(evidence.end_ns - evidence.start_ns, 'ns')}" if metric.how == "increase" else ""
    claim = f"{metric_name(metric)} was {word} at {moment}: {quantity(evidence.value, metric.declared.unit)}{seconds}"
    yield Step(claim, (evidence,))


def _first_growth(question: ParsedQuestion, metric: Metric) -> Iterator[Step]:
    """Of a counter, the first two samples between which it grew."""
    when, where = question.when, question.conditions(metric)
    every = series(question.reader, metric.table, metric.column, when.start_ns, when.end_ns, where=where)
    grown = [
        (after.timestamp, before.timestamp, entity_series)
        for entity_series in every
        for before, after in pairwise(entity_series.points)
        if after.value
    ]
    if not grown:
        question.limits.append(f"{metric_name(metric)} did not grow in that time")
        return
    end, start, its = min(grown, key=lambda step: step[0])
    own = filters(metric.kind, its.entity)
    evidence = question.evidence(metric, where=own, when=TimeRange(start, end))
    if evidence is not None:
        amount = quantity(evidence.value, metric.declared.unit)
        yield Step(
            f"{metric_name(metric)} grew for the first time in that window at {to_second(end)}: {amount}",
            (evidence,),
        )


def _highest(question: ParsedQuestion, metric: Metric, *, low: bool) -> Evidence | None:
    how: How = "min" if low else "max"
    return question.evidence(metric, how, where=question.conditions(metric))


def _steepest(question: ParsedQuestion, metric: Metric, *, low: bool) -> Evidence | None:
    """Of a counter, the two samples between which it grew fastest, or slowest."""
    when = question.when
    where = question.conditions(metric)
    every = series(question.reader, metric.table, metric.column, when.start_ns, when.end_ns, where=where)
    steps = [
        (after.value, before.timestamp, after.timestamp, entity_series)
        for entity_series in every
        for before, after in pairwise(entity_series.points)
        if after.value is not None
    ]
    if not steps:
        return None
    _, start, end, its = (min if low else max)(steps, key=lambda step: step[0])
    own = filters(metric.kind, its.entity)
    return question.evidence(metric, where=own, when=TimeRange(start, end))


def _passed(question: ParsedQuestion, metric: Metric, limit: re.Match[str]) -> Iterator[Step]:
    below = limit[1].lower().startswith(_BELOW)
    value = float(limit[2]) * _factor(limit[3], metric.declared.unit)
    operator: Operator = "<" if below else ">"
    beyond = [*question.conditions(metric), Filter(metric.field, operator, value)]
    passed = stored_rows(question.reader, metric.kind.struct, question.when, where=beyond, limit=1)
    word = "below" if below else "above"
    said = f"{metric_name(metric)} was {word} {limit[2]} {limit[3] or metric.declared.unit}".rstrip()
    if not passed:
        question.limits.append(f"never in that time: {said}")
        return
    evidence = shown_by(passed, metric.field, "last")
    unit = metric.declared.unit
    yield Step(
        f"{said} for the first time at {to_second(evidence.end_ns)}: {quantity(evidence.value, unit)}", (evidence,)
    )


def _factor(said: str, unit: str) -> float:
    """From the unit that somebody says to that of a metric."""
    own = _OF_UNIT.get(unit, 1.0)
    if said.lower() in _IN_NS and unit in _IN_NS:
        return _IN_NS[said.lower()] / own
    if unit in _OF_UNIT and unit not in _IN_NS and said:
        return _IN_BYTES.get(said[0].lower(), 1) / own
    return 1.0
