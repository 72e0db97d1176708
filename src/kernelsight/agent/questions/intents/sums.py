"""What a metric amounts to over a time: levels, totals, rates and percentiles."""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator
from typing import Any

from kernelsight.agent.evidence import shown_by
from kernelsight.agent.questions.intents.totals import Part, parts_of, siblings
from kernelsight.agent.questions.question import ParsedQuestion
from kernelsight.agent.questions.subjects import Metric
from kernelsight.agent.questions.words import metric_name
from kernelsight.diagnosis.model import Evidence, How, Step
from kernelsight.events.declare import Counter
from kernelsight.moments import to_second
from kernelsight.quantities import number, quantity
from kernelsight.query.aggregates import percentiles
from kernelsight.query.filters import Filter
from kernelsight.query.stored import stored_rows

_PERCENTILE = re.compile(r"\bp(\d{1,2}(?:\.\d+)?)\b|\b(\d{1,2})(?:th|\.)? percentile\b|\b(median)\b")
_MOST_DETAILS = 5
_WORDS: tuple[tuple[How, str], ...] = (("mean", "on average"), ("min", "at least"), ("max", "at most"))


def sum_up(question: ParsedQuestion, metric: Metric) -> Iterator[Step]:
    """What it amounts to."""
    share = _PERCENTILE.search(question.plain)
    if share:
        yield from _percentile(question, metric, "50" if share[3] else share[1] or share[2])
    elif metric.adds_up:
        yield from _total(question, metric)
    elif metric.by:
        yield from _levels_of_each(question, metric)
    else:
        yield from _level(question, metric, question.conditions(metric), metric_name(metric))


def _total(question: ParsedQuestion, metric: Metric) -> Iterator[Step]:
    metrics = siblings(question, metric)
    parts = sorted(
        (part for sibling in metrics for part in parts_of(question, sibling)), key=lambda part: -part.evidence.value
    )  # fmt: skip
    if not parts:
        question.limits.append(f"{metric_name(metric)} has too few rows in that time to tell")
        return
    total = sum(part.evidence.value for part in parts)
    unit = metric.declared.unit
    said = question.subject.name if question.subject and len(metrics) > 1 else metric_name(metric)
    shown = tuple(part.evidence for part in parts if part.evidence.value)[:_MOST_DETAILS] or (parts[0].evidence,)
    if len(parts) == 1:
        prefix = f"{parts[0].who}: " if parts[0].who else ""
        yield Step(f"{prefix}{said} {quantity(total, unit)}{rate(parts, total, unit)}", shown)
        return
    whole = f"{', '.join(name.said for name in question.names)}: " if question.names else ""
    yield Step(f"{whole}{said} {quantity(total, unit)} in total{rate(parts, total, unit)}", shown)
    for part in parts[:_MOST_DETAILS]:
        if part.evidence.value:
            yield Step(f"{part.what}: {quantity(part.evidence.value, unit)}", (part.evidence,))


def rate(parts: Iterable[Part], total: float, unit: str) -> str:
    """The same a second, of what is counted over a time."""
    spans = [(part.evidence.end_ns - part.evidence.start_ns) / 1e9 for part in parts]
    length = max(spans, default=0.0)
    if length < 1 or not total or unit in {"ns", "us", "ms"}:
        return ""
    each = (
        quantity(total / length, f"{unit}/s")
        if unit in {"B", "KiB", "512 B sectors"}
        else f"{number(total / length)}/s"
    )
    return f" ({each} over {quantity(length, 's')})"


def _level(question: ParsedQuestion, metric: Metric, where: list[Filter[Any]], what: str) -> Iterator[Step]:
    unit = metric.declared.unit
    last = question.evidence(metric, "last", where)
    if last is None:
        question.limits.append(f"{what} has no value in that time")
        return
    order = _asked_for(question)
    values = {how: question.evidence(metric, how, where) for how, _ in _WORDS}
    said = [f"{quantity(values[how].value, unit)} {word}" for how, word in _WORDS if values[how] is not None]  # type: ignore[union-attr]
    evidences = tuple(evidence for evidence in (last, *values.values()) if evidence is not None)
    if order is not None and values[order] is not None:
        asked_for = values[order]
        assert asked_for is not None
        moment = f" at {to_second(asked_for.end_ns)}" if order in {"min", "max"} else ""
        word = dict(_WORDS)[order].replace("at least", "lowest").replace("at most", "highest")
        text = (
            f"{quantity(asked_for.value, unit)} {word}"
            if order == "mean"
            else f"{word}: {quantity(asked_for.value, unit)}"
        )
        yield Step(f"{what} was {text}{moment}", (asked_for,))
        return
    yield Step(f"{what} was {quantity(last.value, unit)} at the end; {', '.join(said)}", evidences)


def _asked_for(question: ParsedQuestion) -> How | None:
    plain = question.plain.replace("load average", "load", 1)
    if re.search(r"\baverage\b", plain):
        return "mean"
    if re.search(r"\b(?:highest|most|worst)\b", plain):
        return "max"
    return "min" if re.search(r"\blowest\b", plain) else None


def _levels_of_each(question: ParsedQuestion, metric: Metric) -> Iterator[Step]:
    order = _asked_for(question)
    parts = parts_of(question, metric, question.count)
    if not parts:
        question.limits.append(f"{metric_name(metric)} has no value in that time")
    for part in parts:
        where = [*question.conditions(metric), *part.own]
        if order == "mean":
            evidence = question.evidence(metric, "mean", where)
            if evidence:
                yield Step(
                    f"{part.who}: {metric_name(metric)} {quantity(evidence.value, metric.declared.unit)} on average",
                    (evidence,),
                )
            continue
        last = question.evidence(metric, "last", where)
        peak = part.evidence
        word = "at least" if metric.least else "at most"
        now = f", {quantity(last.value, metric.declared.unit)} at the end" if last and last.value != peak.value else ""
        evidences = (peak, last) if last and now else (peak,)
        yield Step(
            f"{part.who}: {metric_name(metric)} {quantity(peak.value, metric.declared.unit)} {word}{now}", evidences
        )


def _percentile(question: ParsedQuestion, metric: Metric, share: str) -> Iterator[Step]:
    """A percentile of a level: the nearest rank, which is the value of a row."""
    if isinstance(metric.declared.semantics, Counter):
        question.limits.append(
            f"{metric_name(metric)} is a counter, and a percentile of a counter says nothing; ask for its average"
        )
        return
    when, where = question.when, question.conditions(metric)
    groups = percentiles(
        question.reader, metric.table, metric.column, when.start_ns, when.end_ns, ps=(float(share),), where=where
    )
    values = [value for name, value in groups[0].items() if name.startswith("p")] if groups else []
    number_of = next((value for value in values if isinstance(value, int | float)), None)
    if number_of is None:
        question.limits.append(f"{metric_name(metric)} has no value in that time")
        return
    own = [*where, Filter(metric.field, "=", number_of)]
    rows = stored_rows(question.reader, metric.kind.struct, when, where=own, limit=1)
    shown: tuple[Evidence, ...] = (shown_by(rows, metric.field, "last"),) if rows else ()
    yield Step(f"the p{share} of {metric_name(metric)} was {quantity(number_of, metric.declared.unit)}", shown)
