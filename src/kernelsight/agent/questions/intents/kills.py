"""Which processes the kernel killed because memory ran out, and which process had asked for memory."""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator

from kernelsight.agent.evidence import shown_by
from kernelsight.agent.questions.intent import intent
from kernelsight.agent.questions.intents.watching import watched
from kernelsight.agent.questions.question import ParsedQuestion
from kernelsight.agent.questions.subjects import Metric
from kernelsight.agent.questions.words import at
from kernelsight.diagnosis.model import Evidence, Step
from kernelsight.events.declare import kind_of
from kernelsight.events.fields import getter
from kernelsight.events.memory import OomKill, Vmstat
from kernelsight.quantities import quantity
from kernelsight.query.presence import why_no_rows

_MOST = 10


@intent(
    r"^(?!.*\bhappen\b.*\b(?:before|after)\b).*(?:\boom\b|\bout of memory\b|\bkill\b|\bout memory\b)",
    order=8,
    examples=("any OOM kills?", "who killed postgres?", "what did the OOM killer do today?"),
)
def kills(question: ParsedQuestion) -> Iterable[Step]:
    """The kills, the last first; a true no only where somebody watched for them."""
    rows = question.rows(OomKill)
    processes = question.names_of("process")
    own = [row for row in rows if any(name.is_of(row) for name in processes)] if processes else rows
    groups = question.names_of("cgroup")
    if groups:
        own = [row for row in own if any(str(row.cgroup or "").startswith(str(name.value)) for name in groups)]
    if own:
        yield from _told(question, own)
        return
    whose = f" of {', '.join(name.said for name in question.names)}" if question.names else ""
    yield from _none(question, whose, rows)


def _told(question: ParsedQuestion, rows: list[OomKill]) -> Iterator[Step]:
    yes = "Yes: " if question.is_yes_no else ""
    last = rows[-1]
    if len(rows) > 1:
        count = shown_by(rows, OomKill.total_vm_kb, "count") if _all_known(rows) else None
        first = f"{yes}the kernel's OOM killer killed {len(rows)} processes, the last one {_victim(last)} at {at(last)}"
        yield Step(first, (count,) if count else (_shown(last),))
    for place, row in enumerate(rows[::-1][:_MOST]):
        head = yes if len(rows) == 1 and place == 0 else ""
        held = f"; it held {quantity(row.anon_rss_kb, 'KiB')}" if row.anon_rss_kb is not None else ""
        yield Step(
            f"{head}the kernel's OOM killer killed {_victim(row)} at {at(row)}{_demand(row)}{held}", (_shown(row),)
        )


def _victim(row: OomKill) -> str:
    return f"{row.comm} ({row.pid})"


def _demand(row: OomKill) -> str:
    group = f" in {row.cgroup}" if row.cgroup else ""
    if row.trigger_comm is None:
        return group
    if row.trigger_pid == row.pid:
        return f"{group}, when it asked for more memory itself"
    return f"{group}, when {row.trigger_comm} ({row.trigger_pid}) asked for memory"


def _all_known(rows: list[OomKill]) -> bool:
    return all(row.total_vm_kb is not None for row in rows)


def _shown(row: OomKill) -> Evidence:
    for metric in (OomKill.anon_rss_kb, OomKill.total_vm_kb, OomKill.oom_score_adj):
        if getter(metric)(row) is not None:
            return shown_by([row], metric, "last")
    return shown_by([row], OomKill.pid, "count")


def _none(question: ParsedQuestion, whose: str, others: list[OomKill]) -> Iterator[Step]:
    """That there was none, where the kernel's count or the collector shows it."""
    asks_who = re.search(r"\b(?:who|what|which|someone|somebody|anyone|anybody)\b", question.plain) and not re.search(
        r"\boom\b", question.plain
    )
    counted = question.evidence(Metric(Vmstat.oom_kill)) if question.recorded(kind_of(Vmstat)) else None
    reports = watched(question, kind_of(OomKill))
    shown = tuple(evidence for evidence in (counted, reports) if evidence is not None)
    if others and question.names:
        shown = (*(_shown(row) for row in others[-1:]), *shown)
    if counted is not None and counted.value and not others:
        number = quantity(counted.value, "kills")
        yield Step(
            f"{'Yes: ' if question.is_yes_no and not question.names else ''}the kernel counted {number} "
            "because memory ran out; their names were not recorded",
            (counted,),
        )
        return
    if not shown or (counted is None and reports is None and not others):
        question.limits.append(why_no_rows(question.reader, kind_of(OomKill).table, question.when))
        return
    if question.names and asks_who:
        question.limits.append(
            f"no OOM kill{whose} is recorded in that time, and signals that other processes send are not recorded"
        )
        return
    if question.names and not question.names_of("process") and not question.names_of("cgroup"):
        question.limits.append(f"OOM kills are of processes, and not{whose}")
        return
    yield Step(f"No: there was no OOM kill{whose} in that time", shown)
