"""What will be used up if it goes on as it went."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping

from kernelsight.agent.forecast import forecasts, told
from kernelsight.agent.questions.intent import intent
from kernelsight.agent.questions.question import ParsedQuestion
from kernelsight.agent.questions.subjects import Metric
from kernelsight.diagnosis.model import Evidence, Step
from kernelsight.events.cgroup import Cgroup
from kernelsight.events.filesystem import Filesystem
from kernelsight.events.memory import Memory
from kernelsight.events.process import Process
from kernelsight.query.filters import Filter
from kernelsight.query.presence import why_no_rows

_OF: Mapping[str, Metric] = {
    "memory": Metric(Memory.mem_available_kb),
    "space": Metric(Filesystem.avail_bytes, (Filesystem.mount_point,)),
    "inodes": Metric(Filesystem.inodes_free, (Filesystem.mount_point,)),
    "group_memory": Metric(Cgroup.memory_current_bytes, (Cgroup.cgroup,)),
    "tasks": Metric(Cgroup.pids_current, (Cgroup.cgroup,)),
    "descriptors": Metric(Process.fds, (Process.pid,)),
}
"""What shows the level of each resource, and by what its owners are told apart."""


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
    foreseen = [
        forecast
        for forecast in forecasts(question.reader, question.when)
        if wanted is None or forecast.resource == wanted
    ]
    values = {str(name.value) for name in question.names}
    foreseen = [forecast for forecast in foreseen if not values or values & set((forecast.owner or "").split())]
    yes = "Yes: " if question.is_yes_no else ""
    for place, forecast in enumerate(foreseen):
        level = _OF[str(forecast.resource)]
        where = [Filter(column, "=", (forecast.owner or "").rpartition(" ")[2]) for column in level.by]
        shown = question.evidence(level, "last", where)
        yield Step(f"{yes if place == 0 else ''}{told(forecast)}", (shown,) if shown else ())
    if foreseen:
        return
    shown = _level(question, wanted or "memory")
    if shown is None:
        question.limits.append(why_no_rows(question.reader, _OF[wanted or "memory"].table, question.when))
        return
    what = (wanted or "anything that is limited").replace("descriptors", "open files")
    yield Step(
        f"{'No, not as it went in that time' if question.is_yes_no else 'Not foreseen'}: no steady trend uses "
        f"up {what} within 6 hours",
        (shown,),
    )


def _level(question: ParsedQuestion, resource: str) -> Evidence | None:
    metric = _OF[resource]
    return question.evidence(metric, "last", question.conditions(metric)) if question.recorded(metric.kind) else None
