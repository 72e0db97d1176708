"""What will be used up if it goes on as it went."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping

from kernelsight.agent.forecast import forecasts, told
from kernelsight.agent.questions.intent import intent
from kernelsight.agent.questions.question import ParsedQuestion
from kernelsight.agent.questions.subjects import Metric
from kernelsight.diagnosis.model import Evidence, Step
from kernelsight.query.filters import Condition
from kernelsight.query.presence import why_no_rows

_OF: Mapping[str, tuple[str, str, str]] = {
    "memory": ("memory_metrics", "mem_available_kb", ""),
    "space": ("filesystem_stats", "avail_bytes", "mount_point"),
    "inodes": ("filesystem_stats", "inodes_free", "mount_point"),
    "group_memory": ("cgroup_stats", "memory_current_bytes", "cgroup"),
    "tasks": ("cgroup_stats", "pids_current", "cgroup"),
    "descriptors": ("process_stats", "fds", "pid"),
}
"""Which rows show the level of each resource."""


@intent(
    r"^(?!.*\b(?:full|fill|space|inode|disk)\b)"
    r"(?:.*\b(?:will|predict|forecast|run out|how (?:long|soon) (?:until|till))\b)",
    order=30,
    examples=("will memory run out?",),
)
def ahead(question: ParsedQuestion) -> Iterable[Step]:
    """The forecasts, the soonest first."""
    wanted = next(
        (
            name
            for name, words in (("memory", r"\bmemory\b"), ("descriptors", r"\b(?:fd|descriptor|file)\b"))
            if re.search(words, question.plain)
        ),
        None,
    )
    if wanted is None and question.subject is not None:
        question.limits.append(
            f"there is no forecast for {question.subject.name}; memory, space, inodes, tasks and open files have one"
        )
        return
    found = [one for one in forecasts(question.reader, question.when) if wanted is None or one.resource == wanted]
    values = {str(name.value) for name in question.names}
    found = [one for one in found if not values or values & set((one.owner or "").split())]
    yes = "Yes: " if question.is_yes_no else ""
    for place, one in enumerate(found):
        table, column, by = _OF[str(one.resource)]
        where = [Condition(by, "=", (one.owner or "").rpartition(" ")[2])] if by else []
        shown = question.evidence(Metric(table, column), "last", where)
        yield Step(f"{yes if place == 0 else ''}{told(one)}", (shown,) if shown else ())
    if found:
        return
    shown = _level(question, wanted or "memory")
    if shown is None:
        question.limits.append(why_no_rows(question.reader, _OF[wanted or "memory"][0], question.when))
        return
    what = (wanted or "anything that is limited").replace("descriptors", "open files")
    yield Step(
        f"{'No, not as it went in that time' if question.is_yes_no else 'Not foreseen'}: no steady trend uses "
        f"up {what} within 6 hours",
        (shown,),
    )


def _level(question: ParsedQuestion, resource: str) -> Evidence | None:
    table, column, _ = _OF[resource]
    metric = Metric(table, column)
    return question.evidence(metric, "last", question.conditions(metric)) if question.recorded(metric.kind) else None
