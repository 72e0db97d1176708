"""Processes that ended and that nobody waited for."""

from __future__ import annotations

from collections.abc import Iterable

from kernelsight.agent.evidence import shown_by
from kernelsight.agent.questions.intent import intent
from kernelsight.agent.questions.question import ParsedQuestion
from kernelsight.diagnosis.model import Step
from kernelsight.events.declare import kind_of
from kernelsight.events.process import Process
from kernelsight.query.presence import why_no_rows

_MOST = 5


@intent(r"\bzombie\b", order=40, examples=("are there zombies?",))
def zombies(question: ParsedQuestion) -> Iterable[Step]:
    """The processes whose state is Z in their last row."""
    kind = kind_of(Process)
    rows = question.rows(Process, question.conditions_of(kind))
    if not rows:
        question.limits.append(why_no_rows(question.reader, kind.table, question.when))
        return
    last: dict[object, Process] = {(row.pid, row.start_ticks): row for row in rows}
    if all(row.state is None for row in last.values()):
        question.limits.append("the states of processes are not in the rows of that time")
        return
    zombies_seen = [row for row in last.values() if str(row.state or "")[:1] == "Z"]
    if not zombies_seen:
        seen = shown_by([*last.values()][:500], Process.pid, "count")
        yield Step(f"{'No: ' if question.is_yes_no else ''}there was no zombie among {len(last)} processes", (seen,))
        return
    who = ", ".join(f"{row.comm} ({row.pid})" for row in zombies_seen[:_MOST])
    parents = sorted({str(row.ppid) for row in zombies_seen if row.ppid is not None})
    of = f"; their parents are the processes {', '.join(parents[:_MOST])}" if parents else ""
    number = f"{len(zombies_seen)} zombie{'s' if len(zombies_seen) > 1 else ''}"
    yield Step(
        f"{'Yes: ' if question.is_yes_no else ''}{number}: {who}{of}",
        (shown_by(zombies_seen[:500], Process.pid, "count"),),
    )
