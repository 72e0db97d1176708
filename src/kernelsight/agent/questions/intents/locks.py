"""Whether somebody is deadlocked, stuck or waits for a lock, and who holds it."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Iterator
from typing import TypeVar

from kernelsight.agent.evidence import shown_by
from kernelsight.agent.questions.intent import intent
from kernelsight.agent.questions.intents.waits import long_waits
from kernelsight.agent.questions.intents.watching import watched
from kernelsight.agent.questions.question import ParsedQuestion
from kernelsight.agent.questions.subjects import Metric
from kernelsight.agent.questions.words import at
from kernelsight.diagnosis.model import Evidence, Step
from kernelsight.events.declare import Event, kind_of
from kernelsight.events.lock import FileLockWait
from kernelsight.events.scheduler import BlockedTask, Wait
from kernelsight.quantities import quantity
from kernelsight.query.presence import why_no_rows

E = TypeVar("E", bound=Event)

_MOST = 3
_KINDS = (FileLockWait, BlockedTask, Wait)


@intent(
    r"\bdeadlock\b|\block\b|\bstuck\b|\bhang\b|\bblock\b|\bfreeze\b|(?<!close )(?<!time )(?<!io )(?<!cpu "
    r")\bwait\b(?! (?:for|on) (?:a |the )?(?:cpu|disk|io))",
    order=34,
    examples=("is postgres deadlocked?", "who holds the lock?", "what is postgres waiting for?"),
)
def locks(question: ParsedQuestion) -> Iterable[Step]:
    """A cycle of waits is a deadlock; else who waits for whom, and how long."""
    if question.names and not question.names_of("process"):
        question.limits.append(f"waits and locks are recorded for processes, not for {question.names[0].said}")
        return
    waits = _about(
        question, question.rows(FileLockWait), lambda row: {row.pid, row.comm, row.holder_pid, row.holder_comm}
    )
    blocked = _about(question, question.rows(BlockedTask), lambda row: {row.pid, row.comm})
    cycle = _cycle(question.rows(FileLockWait), question)
    if re.search(r"\bdeadlock\b", question.plain):
        yield from _deadlock(question, cycle, waits, blocked)
        return
    steps = [*_lock_steps(waits), *_blocked_steps(blocked), *_waits(question)]
    if not steps:
        yield from _nothing(question, "waited for a lock or was stuck")
        return
    if question.is_yes_no:
        only_locks = re.search(r"\block\b", question.plain) is not None
        stuck = bool(waits) or (bool(blocked) and not only_locks)
        head = (
            "Yes: "
            if stuck or (not only_locks and re.search(r"\bwait\b", question.plain))
            else "No: nobody was stuck for long, but "
        )
        yield Step(head + steps[0].claim, steps[0].evidence)
        yield from steps[1:]
        return
    yield from steps


def _about(question: ParsedQuestion, rows: list[E], who: Callable[[E], set[int | str | None]]) -> list[E]:
    """The rows that are about one of the processes that are named; all where none is."""
    values = {name.value for name in question.names_of("process")}
    return [row for row in rows if not values or values & who(row)]


def _cycle(rows: list[FileLockWait], question: ParsedQuestion) -> list[FileLockWait]:
    """Rows of one moment in which each waits for the next, and the last for the first; empty where there is none."""
    by_moment: dict[object, list[FileLockWait]] = {}
    for row in rows:
        if row.pid is not None and row.holder_pid is not None:
            by_moment.setdefault(row.timestamp, []).append(row)
    values = {name.value for name in question.names_of("process")}
    for moment in sorted(by_moment, key=str, reverse=True):
        next_of = {row.pid: row for row in by_moment[moment]}
        for start in next_of:
            path: list[FileLockWait] = []
            pid = start
            while pid in next_of and next_of[pid] not in path:
                path.append(next_of[pid])
                pid = next_of[pid].holder_pid
            in_it = not values or any(row.comm in values or row.pid in values for row in path)
            if path and pid == start and len(path) > 1 and in_it:
                return path
    return []


def _deadlock(
    question: ParsedQuestion, cycle: list[FileLockWait], waits: list[FileLockWait], blocked: list[BlockedTask]
) -> Iterator[Step]:
    if cycle:
        chain = ", ".join(f"{_waiter(row)} waits for {_holder(row)}" for row in cycle)
        yield Step(
            f"Yes: {chain}, so none of them can go on (file locks, at {at(cycle[0])})",
            (shown_by(cycle, FileLockWait.pid, "count"),),
        )
        return
    whose = f"{', '.join(name.said for name in question.names)} is not" if question.names else "nobody is"
    seen = [*_lock_steps(waits), *_blocked_steps(blocked)]
    if seen:
        yield Step(
            f"No, as far as file locks tell: {whose} in a circle of waits, but {seen[0].claim}", seen[0].evidence
        )
        yield from seen[1:]
        return
    yield from _nothing(question, "waited for a file lock or was blocked for long, so that no deadlock shows")


def _lock_steps(rows: list[FileLockWait]) -> list[Step]:
    pairs: dict[tuple[str, str], list[FileLockWait]] = {}
    for row in rows:
        pairs.setdefault((_waiter(row), _holder(row)), []).append(row)
    ordered = sorted(pairs.items(), key=lambda pair: -len(pair[1]))[:_MOST]
    return [
        Step(
            f"{waiter} waits for a file lock that {holder} holds, seen {len(own)} times from {at(own[0])} "
            f"to {at(own[-1])}",
            (shown_by(own, FileLockWait.pid, "count"),),
        )
        for (waiter, holder), own in ordered
    ]


def _blocked_steps(rows: list[BlockedTask]) -> list[Step]:
    longest: dict[object, BlockedTask] = {}
    for row in rows:
        known = longest.get(row.tid)
        if row.blocked_ms is not None and (known is None or row.blocked_ms > (known.blocked_ms or 0)):
            longest[row.tid] = row
    ordered = sorted(longest.values(), key=lambda row: -(row.blocked_ms or 0))[:_MOST]
    return [
        Step(
            f"{row.comm} ({row.pid}) was stuck for {quantity(row.blocked_ms or 0, 'ms')}"
            + (f" in {row.wchan}" if row.wchan else "") + (f" on {row.device}" if row.device else ""),
            (shown_by([row], BlockedTask.blocked_ms, "last"),),
        )
        for row in ordered
    ]  # fmt: skip


def _waits(question: ParsedQuestion) -> Iterator[Step]:
    """Whom they waited for, of waits that were long together."""
    for wait in long_waits(question, question.conditions_of(kind_of(Wait)), (Wait.comm, Wait.pid), _MOST):
        who = wait.group
        yield Step(f"{who.of(Wait.comm)} ({who.of(Wait.pid)}) was blocked{wait.how}", (wait.evidence,))


def _nothing(question: ParsedQuestion, what: str) -> Iterator[Step]:
    shown: list[Evidence] = [evidence for kind in _KINDS if (evidence := watched(question, kind_of(kind))) is not None]
    if not shown and question.recorded(kind_of(Wait)) and question.rows(Wait, limit=1):
        evidence = question.evidence(Metric(Wait.wait_ns), "max")
        shown = [evidence] if evidence else []
    if not shown:
        question.limits.append(why_no_rows(question.reader, kind_of(FileLockWait).table, question.when))
        return
    who = ", ".join(name.said for name in question.names) if question.names else "nobody"
    claim = f"No: {who} {what}" if not question.names else f"No: nothing shows that {who} {what.partition(',')[0]}"
    yield Step(claim, tuple(shown))


def _waiter(row: FileLockWait) -> str:
    return f"{row.comm or 'an unknown process'} ({row.pid if row.pid is not None else 'pid not known'})"


def _holder(row: FileLockWait) -> str:
    pid = row.holder_pid if row.holder_pid is not None else "pid not known"
    return f"{row.holder_comm or 'an unknown process'} ({pid})"
