"""How many descriptors processes have open, and their limits."""

from __future__ import annotations

from collections.abc import Iterable, Iterator

from kernelsight.agent.evidence import shown_by
from kernelsight.agent.questions.intent import intent
from kernelsight.agent.questions.question import ParsedQuestion
from kernelsight.agent.questions.words import at
from kernelsight.diagnosis.limit_use import NEAR_SHARE
from kernelsight.diagnosis.model import Step
from kernelsight.events.declare import kind_of
from kernelsight.events.fields import getter
from kernelsight.events.process import Process
from kernelsight.query.presence import why_no_rows

_MOST = 5


@intent(
    r"^(?=.*\b(?:fd|descriptor|file|handle)\b)"
    r"(?=.*\b(?:limit|near|close|highest|too (?:many|much)|how many\b.*\b(?:can|may))\b)"
    r"(?!.*\b(?:lock|inode|mount|disk|space|leak|grow|fail|error)\b)|\bprocess near (?:its|their|the) limit\b",
    order=9,
    examples=("is any process near its limit of open files?", "how many files can postgres open?"),
)
def open_files(question: ParsedQuestion) -> Iterable[Step]:
    """Those that are nearest to their limit, or those who are named; whether one is near it."""
    kind = kind_of(Process)
    if question.names and not question.names_of("process"):
        question.limits.append(f"open files are recorded for each process, not for {question.names[0].said}")
        return
    fullest: dict[tuple[object, object], Process] = {}
    for row in question.rows(Process, question.conditions_of(kind)):
        own = row.pid, row.start_ticks
        if row.fds is not None and (own not in fullest or _used(row) >= _used(fullest[own])):
            fullest[own] = row
    if not fullest:
        question.limits.append(
            "its open files were not recorded" if question.recorded(kind)
            else why_no_rows(question.reader, kind.table, question.when)
        )  # fmt: skip
        return
    yield from _told(question, sorted(fullest.values(), key=lambda row: (-_used(row), str(row.pid))))


def _told(question: ParsedQuestion, rows: list[Process]) -> Iterator[Step]:
    near = [row for row in rows if row.fd_limit and _used(row) >= NEAR_SHARE]
    head = ""
    if question.is_yes_no:
        # A limit that was not recorded may be met.
        head = "Yes: " if near else "No: " if all(row.fd_limit for row in rows) else "Not known of all: "
    for place, row in enumerate((near or rows)[:_MOST] if not question.names else rows[:_MOST]):
        limit = row.fd_limit
        of = f" of {limit} allowed ({_used(row):.0%})" if limit else "; its limit is not recorded"
        known = [metric for metric in (Process.fds, Process.fd_limit) if getter(metric)(row) is not None]
        shown = [shown_by([row], metric, "last") for metric in known]
        claim = f"{row.comm} ({row.pid}) had {row.fds} descriptors open{of}, at {at(row)}"
        yield Step(f"{head if place == 0 else ''}{claim}", tuple(shown))


def _used(row: Process) -> float:
    """Share of its limit; without one, as many as it has of a limit that nobody has."""
    return (row.fds or 0) / (row.fd_limit or 1e12)
