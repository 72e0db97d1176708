"""How much of something there was: levels, totals, rates and percentiles."""

from __future__ import annotations

import re
from collections.abc import Iterable

from kernelsight.agent.plain.asked import Asked, intent
from kernelsight.agent.plain.intents.any import counted_any
from kernelsight.agent.plain.intents.sums import sum_up
from kernelsight.agent.plain.intents.totals import siblings
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
def amounts(asked: Asked) -> Iterable[Step]:
    """Of a level: the last value, the mean and the extremes. Of a counter: the sum."""
    metric = asked.metric(
        whole=not asked.of("process") and not asked.by_process,
        unless="how much of what? name something such as cpu, memory, disk, network, or table.column",
    )
    if metric is None:
        return ()
    if metric.adds_up and asked.text.rstrip().endswith("?") and not _ASKS_HOW_MUCH.search(asked.plain):
        return counted_any(asked, siblings(asked, metric))
    return sum_up(asked, metric)


@intent(r"^\W*(?:and )?how (?:much|many)\b", order=95, examples=())
def of_what(asked: Asked) -> Iterable[Step]:
    """A question without a subject has no answer."""
    asked.limits.append("how much of what? name something such as cpu, memory, disk, network, or table.column")
    return ()
