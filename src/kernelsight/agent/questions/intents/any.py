"""Whether there is any of something: Yes or No first, and how much."""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator

from kernelsight.agent.questions.intent import intent
from kernelsight.agent.questions.intents.sums import rate, sum_up
from kernelsight.agent.questions.intents.totals import Part, parts_of, siblings
from kernelsight.agent.questions.intents.watching import watched
from kernelsight.agent.questions.question import ParsedQuestion
from kernelsight.agent.questions.subjects import Metric
from kernelsight.agent.questions.words import metric_name
from kernelsight.diagnosis.model import Step
from kernelsight.quantities import quantity
from kernelsight.query.presence import why_no_rows

_MOST = 5
_TOO_MUCH = re.compile(
    r"\b(?:saturated|congested|limit|close|near|slow|fast|unusual|go up|increase|high|"
    r"low|too|enough|overloaded|bad|normal|many|much|ok|okay|busy|fine)\b"
)


@intent(
    r"\bany\b|\banything\b|\bthere\b|^\W*(?:is|are|was|were|be|did|does|do|has|have|had)\b|"
    r"\b(?:get|be|see|suffer\w*|experience\w*|los(?:e|ing)|los\w+) (?:\w+ )?(?:throttle|drop|retransmit|"
    r"packet|error)\b",
    order=65,
    examples=("any network errors?", "are there retransmits?", "is anything throttled?", "are packets dropped?"),
    needs_subject=True,
    each_subject=True,
)
def any_of(question: ParsedQuestion) -> Iterable[Step]:
    """Yes with the number where something was counted. No only where its collector ran and nothing happened."""
    assert question.subject is not None
    if not question.is_yes_no:
        metric = question.metric(whole=not question.names, unless="")
        return sum_up(question, metric) if metric else ()
    tables = _metrics(question)
    if tables is None:
        return ()
    if _TOO_MUCH.search(question.plain):
        return _not_judged(question, tables[0])
    counted = [metric for metric in tables if metric.adds_up]
    if not counted:
        return _level(question, tables[0])
    return counted_any(question, counted)


def _metrics(question: ParsedQuestion) -> list[Metric] | None:
    """Those of the subject in all tables that are recorded, of the machine and its parts before those of processes."""
    first = question.metric(whole=not question.names_of("process"), unless="")
    if first is None:
        return _unless_watched(question)
    return siblings(question, first)


def _unless_watched(question: ParsedQuestion) -> list[Metric] | None:
    """Of what occurs by itself there are no rows where it did not happen; its collector tells that it was watched."""
    assert question.subject is not None
    for metric in question.subject.metrics:
        if watched(question, metric.kind) is not None:
            question.limits.clear()
            return [metric]
    return None


def counted_any(question: ParsedQuestion, metrics: list[Metric]) -> Iterator[Step]:
    """Yes and how many, or No."""
    assert question.subject is not None
    limits = len(question.limits)
    parts = sorted(
        (part for metric in metrics for part in _safely(question, metric)), key=lambda part: -part.evidence.value
    )
    total = sum(part.evidence.value for part in parts)
    of = f" of {', '.join(name.said for name in question.names)}" if question.names else ""
    what = question.subject.name
    if total:
        del question.limits[limits:]
        unit = metrics[0].declared.unit
        some = [part for part in parts if part.evidence.value]
        shown = tuple(part.evidence for part in some[:_MOST])
        most = (
            f", most at {some[0].who}"
            if some[0].who and not of and len(parts) > 1
            else f" at {some[0].who}"
            if some[0].who and not of
            else ""
        )
        yield Step(f"Yes: {what}{of}: {quantity(total, unit)} in that time{rate(some, total, unit)}{most}", shown)
        for part in some[:_MOST] if len(some) > 1 else ():
            yield Step(f"{part.what}: {quantity(part.evidence.value, part.metric.declared.unit)}", (part.evidence,))
        return
    if parts:
        yield Step(f"No: {what}{of}: none in that time", tuple(part.evidence for part in parts[:_MOST]))
        return
    report = watched(question, metrics[0].kind)
    if report is not None and metrics[0].declared.semantics.__class__.__name__ == "Delta":
        yield Step(f"No: {what}{of}: none in that time, and its collector ran", (report,))
        return
    question.limits.append(why_no_rows(question.reader, metrics[0].table, question.when))


def _safely(question: ParsedQuestion, metric: Metric) -> list[Part]:
    return parts_of(question, metric) if question.recorded(metric.kind) else []


def _not_judged(question: ParsedQuestion, metric: Metric) -> Iterator[Step]:
    """What it amounts to, where the question is whether that is much."""
    for place, step in enumerate(sum_up(question, metric)):
        head = "Not known whether that is too much, as no limit of it is recorded; " if place == 0 else ""
        yield Step(f"{head}{step.claim}", step.evidence)


def _level(question: ParsedQuestion, metric: Metric) -> Iterator[Step]:
    """Of a level, whether there is any; whether it is too much no declaration says."""
    parts = parts_of(question, metric, _MOST)
    last = [(part, question.evidence(metric, "max", [*question.conditions(metric)])) for part in parts]
    some = [(part, evidence) for part, evidence in last if evidence is not None]
    if not some:
        question.limits.append(why_no_rows(question.reader, metric.table, question.when))
        return
    part, evidence = some[0]
    unit = metric.declared.unit
    word = "Yes" if evidence.value else "No"
    who = f" of {part.who}" if part.who else ""
    yield Step(f"{word}: {metric_name(metric)}{who} {quantity(evidence.value, unit)} at most", (evidence,))
