"""What changed from one time to another, or around a moment."""

from __future__ import annotations

from collections.abc import Iterable, Iterator

import msgspec

from kernelsight.agent.evidence import proof
from kernelsight.agent.questions.intent import intent
from kernelsight.agent.questions.question import ParsedQuestion
from kernelsight.agent.questions.words import group_name
from kernelsight.diagnosis.model import How, Step
from kernelsight.errors import UsageError
from kernelsight.events.declare import Counter, Delta
from kernelsight.events.wire import kinds
from kernelsight.quantities import quantity
from kernelsight.query.compare import MetricChange, compare
from kernelsight.query.filters import Condition
from kernelsight.query.presence import STEADY, last_row, why_nothing
from kernelsight.query.source import extent, kind_named
from kernelsight.query.times import TimeRange

_MOST = 8
_LOOKED_AT = 40
"""Of some changes no number can be cited, such as of how many rows there were."""


@intent(
    r"\b(?:compare|change|differ)\b|\bother than before\b",
    order=20,
    examples=("what changed between 14:00 and 14:05?", "compare 14:00 to 14:05 with 15:00 to 15:05"),
)
def changed(question: ParsedQuestion) -> Iterable[Step]:
    """The metrics that changed most; two times are compared with each other, one with as long a time before it."""
    before, after = question.ranges[:2] if len(question.ranges) > 1 else _before_and_after(question)
    differences = compare(
        question.reader, (before.start_ns, before.end_ns), (after.start_ns, after.end_ns), limit=_LOOKED_AT
    )  # fmt: skip
    differences = [change for change in differences if _is_asked(question, change)]
    steps = [step for change in differences for step in _step(question, change, before, after)][:_MOST]
    if not steps:
        question.limits.append("the rows of both times show no change")
        if last_row(question.reader, STEADY, after) is None:
            question.limits.append(why_nothing(question.reader))
    return steps


def _is_asked(question: ParsedQuestion, change: MetricChange) -> bool:
    """Whether a change is about what the question names, and about its subject where it has one."""
    values = {str(value) for value in change["entity"].values()}
    if question.names and not any(str(name.value) in values for name in question.names):
        return False
    subject = question.subject if question.before is None or question.plain else None
    if subject is None:
        return True
    return any(metric.table == change["table"] and metric.column == change["metric"] for metric in subject.metrics)


def _before_and_after(question: ParsedQuestion) -> tuple[TimeRange, TimeRange]:
    """As long a time before; where that was not recorded, the first half of the time and its second."""
    when = question.when
    first = _first_recorded(question)
    if first is None or first <= when.start_ns - when.length_ns // 2:
        return TimeRange(max(0, when.start_ns - when.length_ns), max(0, when.start_ns - 1)), when
    question.limits.append("nothing was recorded before that time; its first half is compared with its second half")
    start = max(first, when.start_ns)
    middle = start + max(when.end_ns - start, 0) // 2
    return TimeRange(start, middle), TimeRange(min(middle + 1, when.end_ns), when.end_ns)


def _first_recorded(question: ParsedQuestion) -> int | None:
    """When recording began."""
    whole = extent(question.reader, (kind.table for kind in kinds().values() if kind.interval_s is not None))
    return whole.start_ns if whole else None


def _step(question: ParsedQuestion, change: MetricChange, before: TimeRange, after: TimeRange) -> Iterator[Step]:
    kind = kind_named(change["table"])
    column = kind.by_name.get(change["metric"])
    if column is None:
        return
    how: How = "mean"
    if isinstance(column.semantics, (Counter, Delta)):
        how = "increase" if isinstance(column.semantics, Counter) else "sum"
    where = [Condition(name, "=", value) for name, value in change["entity"].items()]
    try:
        now = proof(question.reader, kind.table, column.name, how, after, where)
        was = proof(question.reader, kind.table, column.name, how, before, where)
    except UsageError:  # more rows than can be cited; other changes tell as much
        return
    if now is None:
        return
    evidence = msgspec.structs.replace(now, baseline=was.value) if was else now
    who = group_name(change["entity"])
    from_ = quantity(was.value, column.unit) if was else "nothing"
    what = f"{kind.table}.{column.name}{f' of {who}' if who else ''}"
    yield Step(f"{what} went from {from_} to {quantity(now.value, column.unit)}", (evidence,))
