"""What happened at a time, what failed first, and which programs were started again."""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator
from dataclasses import replace

from kernelsight.agent.evidence import shown_by
from kernelsight.agent.questions.intent import intent
from kernelsight.agent.questions.intents.changed import changed
from kernelsight.agent.questions.intents.incidents import incidents, seen
from kernelsight.agent.questions.question import ParsedQuestion
from kernelsight.agent.questions.subjects import Metric
from kernelsight.diagnosis.model import Evidence, Step
from kernelsight.events.declare import kind_of
from kernelsight.events.fields import field_named
from kernelsight.events.memory import Memory, OomKill
from kernelsight.events.process import Process
from kernelsight.events.wire import kinds
from kernelsight.moments import to_second
from kernelsight.quantities import quantity
from kernelsight.query.filters import Filter
from kernelsight.query.presence import STEADY, last_row, why_no_rows, why_nothing
from kernelsight.query.stored import stored_rows
from kernelsight.query.times import TimeRange

_MOST = 8
_RECORDED_NS = 5_000_000_000
_AROUND_NS = 60_000_000_000


@intent(
    r"\bfirst\b.*\b(?:fail|break|wrong|error|crash|problem|die)\b|\b(?:fail|break|go|crash|die)\b.*\bfirst\b|"
    r"\bfirst (?:thing|failure|sign|symptom)\b|\b(?:what|who|anything|something) fail\b|\bwhat break\b|"
    r"\bwhat start it\b|\bwhat crash\b",
    order=9,
    examples=("what failed first?",),
)
def first(question: ParsedQuestion) -> Iterable[Step]:
    """The earliest of what failed, and what followed."""
    failures = [incident for incident in incidents(question) if incident.is_failure]
    if not failures:
        yield from _nothing(question, "nothing failed, as far as was recorded")
        return
    for place, incident in enumerate(failures[:_MOST]):
        head = "first" if place == 0 else "then"
        yield Step(f"{head}, at {to_second(incident.at_ns)}: {incident.claim}", incident.evidence)


def _nothing(question: ParsedQuestion, claim: str) -> Iterator[Step]:
    if last_row(question.reader, STEADY, question.when) is None:
        question.limits.append(why_nothing(question.reader))
    elif question.diagnosis.verdict == "unknown":
        question.limits += question.diagnosis.unknown
    elif (shown := sampled(question)) is not None:
        yield Step(f"{'No: ' if question.is_yes_no else ''}{claim}", (shown,))
    else:
        question.limits.append(claim)


def sampled(question: ParsedQuestion) -> Evidence | None:
    """That somebody looked: the rows of a kind that is always sampled."""
    for name in STEADY:
        kind = kinds()[name]
        column = next(
            (declared.name for declared in kind.columns if declared.type == "INTEGER" and not declared.required),
            None,
        )
        if column is None or not question.recorded(kind):
            continue
        field = field_named(kind, column)
        rows = stored_rows(question.reader, kind.struct, question.when, where=[Filter(field, "!=", None)], limit=500)
        if rows:
            return shown_by(rows, field, "count")
    return None


@intent(
    r"\bhappen\b|\bgo(?:ing)? on\b|\bevents?\b|\bincidents?\b|\bunusual\b|\bstrange\b|\bweird\b|"
    r"\babnormal\b|\banomal\w+\b",
    order=24,
    examples=("what happened at 14:45?", "what happened in the last 10 minutes?"),
)
def happened(question: ParsedQuestion) -> Iterable[Step]:
    """What is known to have happened, in its order, and after it the metrics that changed most."""
    happenings = incidents(question)
    for incident in happenings[:_MOST]:
        yield Step(f"at {to_second(incident.at_ns)}: {incident.claim}", incident.evidence)
    if last_row(question.reader, STEADY, question.when) is None and not happenings:
        question.limits.append(why_nothing(question.reader))
        return
    if question.names and not happenings:
        question.limits.append(
            f"nothing that happened in that time is about {', '.join(name.said for name in question.names)}"
        )
        return
    limits = len(question.limits)
    steps = list(changed(question))
    if happenings:
        del question.limits[limits:]
    yield from steps


@intent(
    r"^(?=.*\b(?:happen|go on|else|change|look like)\b).*\b(?:kill|oom|out of memory|die)\b",
    order=7,
    examples=("what happened around the time mysqld was killed?", "what else happened when it was killed?"),
)
def around_a_kill(question: ParsedQuestion) -> Iterable[Step]:
    """What happened in the minute before a kill and the one after it: the kill, the memory before it, and the rest."""
    kills = question.rows(OomKill)
    own = [row for row in kills if any(name.is_of(row) for name in question.names_of("process"))]
    if not kills or (question.names_of("process") and not own):
        who = f" of {', '.join(name.said for name in question.names)}" if question.names else ""
        question.limits.append(
            f"no OOM kill{who} is recorded in that time; name the moment, as in “what happened at 14:45?”"
        )
        return
    moment = (own or kills)[-1].timestamp
    around = TimeRange(max(question.when.start_ns, moment - _AROUND_NS), min(question.when.end_ns, moment + _AROUND_NS))
    of_then = replace(question, when=around, names=(), subject=None, limits=question.limits)
    yield from _memory_before(of_then, moment)
    yield from happened(of_then)


def _memory_before(question: ParsedQuestion, moment_ns: int) -> Iterator[Step]:
    """What memory was available in the minute before a moment, at first and at least."""
    available = Memory.mem_available_kb
    if not question.recorded(kind_of(Memory)):
        return
    before = TimeRange(question.when.start_ns, moment_ns)
    rows = stored_rows(question.reader, Memory, before, where=[Filter(available, "!=", None)], limit=1)
    least = question.evidence(Metric(available), "min", when=before)
    if not rows or least is None:
        return
    first = shown_by(rows, available, "last")
    told = f"{quantity(first.value, 'KiB')} of memory was available at {to_second(first.start_ns)}"
    yield Step(f"before {to_second(moment_ns)}: {told}, and {quantity(least.value, 'KiB')} at least", (first, least))


@intent(
    r"\brestart\b|\bcrash\b|\bdie\b|\bstart again\b|\bexit\b|\bcome back\b|\bgo down\b",
    order=26,
    examples=("did nginx restart?", "which services restarted?"),
)
def restarts(question: ParsedQuestion) -> Iterable[Step]:
    """Which programs were started again, or ended, in that time."""
    kind = kind_of(Process)
    if re.search(r"\b(?:machine|computer|server|box|system|reboot)\b", question.plain) and not question.names:
        question.limits.append("name a program; about the machine, ask what happened before the reboot")
        return
    if not question.recorded(kind):
        question.limits.append(why_no_rows(question.reader, kind.table, question.when))
        return
    restarted = [
        incident
        for incident in incidents(question)
        if "started again" in incident.claim or "OOM killer" in incident.claim
    ]
    yes = "Yes: " if question.is_yes_no else ""
    if re.search(r"\b(?:crash|die)\b", question.plain):
        # A program that was started again need not have crashed; one that was killed has failed.
        restarted.sort(key=lambda incident: not incident.is_failure)
        if restarted and not restarted[0].is_failure and yes:
            yes = "Not known whether it crashed, but "
    for place, incident in enumerate(restarted[:_MOST]):
        yield Step(f"{yes if place == 0 else ''}at {to_second(incident.at_ns)} {incident.claim}", incident.evidence)
    if restarted:
        return
    yield from _ended(question)


def _ended(question: ParsedQuestion) -> Iterator[Step]:
    rows = question.rows(Process, question.conditions_of(kind_of(Process)))
    whole = question.rows(Process) if question.names else rows
    if not rows:
        question.limits.append("no row of that time is about it")
        return
    who = ", ".join(name.said for name in question.names) if question.names else "no program"
    last, end = rows[-1], whole[-1].timestamp
    shown = (seen(rows[0]), seen(last))
    if question.names and end - last.timestamp > _RECORDED_NS:
        asked_restart = re.search(r"\brestart\b", question.plain)
        head = "No, but " if asked_restart and question.is_yes_no else "Yes: " if question.is_yes_no else ""
        yield Step(
            f"{head}{who} was seen last at {to_second(last.timestamp)}, and not again until {to_second(end)}", shown
        )
        return
    verb = "was not started again and did not end" if question.names else "was started again"
    yield Step(f"{'No: ' if question.is_yes_no else ''}{who} {verb} in that time", shown)


@intent(
    r"^(?=.*\b(?:run|alive|up|exist|active|down)\b)(?!.*\b(?:queue|out|why|use up|what|who|how)\b)",
    order=70,
    examples=("is nginx running?",),
)
def running(question: ParsedQuestion) -> Iterable[Step]:
    """Whether a process is seen up to the end of that time."""
    processes = question.names_of("process")
    if not processes:
        question.limits.append("which process? name one that occurs in the rows of that time")
        return
    kind = kind_of(Process)
    rows = question.rows(Process, question.conditions_of(kind))
    if not rows:
        question.limits.append(why_no_rows(question.reader, kind.table, question.when))
        return
    bounds = question.reader.bounds(kind.table)
    end = min(question.when.end_ns, bounds[1] if bounds else question.when.end_ns)
    last = rows[-1]
    is_up = end - last.timestamp <= _RECORDED_NS
    moment = to_second(last.timestamp)
    shown = seen(last)
    asks_down = re.search(r"\b(?:down|not)\b", question.plain) is not None
    word = "Yes: " if is_up != asks_down else "No: "
    tail = "" if is_up else f", and not again until {to_second(end)}"
    yield Step(f"{word}{processes[0].said} was seen last at {moment} as process {last.pid}{tail}", (shown,))
