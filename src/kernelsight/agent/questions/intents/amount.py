"""How much of something there was: levels, totals, rates and percentiles."""

from __future__ import annotations

import re
from collections.abc import Iterable

from kernelsight.agent.questions.intent import intent
from kernelsight.agent.questions.intents.any import counted_any
from kernelsight.agent.questions.intents.sums import sum_up
from kernelsight.agent.questions.intents.totals import siblings
from kernelsight.agent.questions.question import ParsedQuestion
from kernelsight.diagnosis.model import Step

_ASKS_HOW_MUCH = re.compile(r"\b(?:how|what|whats|total|number|count|rate|average|highest|lowest)\b")


@intent(
    r"\bhow (?:much|many|high|low|fast|busy|large|big)\b|\bwhat be\b|\bwhats?\b|\baverage\b|\btotal\b|\bhighest\b|"
    r"\blowest\b|\bp\d|\bmedian\b|\bpercentile\b|\bnumber of\b|\bcount\b|\brate\b|^\W*(?:and )?\S+(?: \S+){0,5}$",
    order=80,
    examples=("how much memory did postgres use?", "how many TCP connections?", "average load", "p99 on vda"),
    needs_subject=True,
    each_subject=True,
)
def amounts(question: ParsedQuestion) -> Iterable[Step]:
    """Of a level: the last value, the mean and the extremes. Of a counter: the sum."""
    metric = question.metric(
        whole=not question.names_of("process") and not question.by_process,
        unless="how much of what? name something such as cpu, memory, disk, network, or table.column",
    )
    if metric is None:
        return ()
    if metric.adds_up and question.text.rstrip().endswith("?") and not _ASKS_HOW_MUCH.search(question.plain):
        return counted_any(question, siblings(question, metric))
    return sum_up(question, metric)


@intent(r"^\W*(?:and )?how (?:much|many)\b", order=95, examples=())
def of_what(question: ParsedQuestion) -> Iterable[Step]:
    """A question without a subject has no answer."""
    question.limits.append("how much of what? name something such as cpu, memory, disk, network, or table.column")
    return ()
