"""What is known to have happened in a time: kills, findings, signals, and programs that were started again."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from itertools import pairwise

from kernelsight.agent.evidence import shown_by
from kernelsight.agent.questions.question import ParsedQuestion
from kernelsight.diagnosis.model import Evidence
from kernelsight.diagnosis.naming import named, plain
from kernelsight.events.fields import getter
from kernelsight.events.memory import OomKill
from kernelsight.events.process import Process
from kernelsight.events.signal import Signal
from kernelsight.query.stored import stored_rows

_MOST_LIVES = 8
"""Of a program with more processes in that time, one more is no restart."""


@dataclass(frozen=True, slots=True)
class Incident:
    """Something that happened at a moment."""

    at_ns: int
    claim: str
    evidence: tuple[Evidence, ...]
    is_failure: bool = True


def incidents(question: ParsedQuestion) -> list[Incident]:
    """What is known to have happened in that time, in its order."""
    listed = [*_kills(question), *_findings(question), *_signals(question), *_restarts(question)]
    if question.names:
        listed = [incident for incident in listed if any(str(name.value) in incident.claim for name in question.names)]
    return sorted(listed, key=lambda incident: incident.at_ns)


def _kills(question: ParsedQuestion) -> Iterator[Incident]:
    for row in question.rows(OomKill):
        known = [metric for metric in (OomKill.anon_rss_kb, OomKill.total_vm_kb) if getter(metric)(row) is not None]
        demand = f" when {row.trigger_comm} asked for memory" if row.trigger_comm else ""
        claim = f"the kernel's OOM killer killed {row.comm} ({row.pid}){demand}"
        shown = shown_by([row], known[0], "last") if known else shown_by([row], OomKill.pid, "count")
        yield Incident(row.timestamp, claim, (shown,))


def _findings(question: ParsedQuestion) -> Iterator[Incident]:
    for finding in question.diagnosis.present:
        shown = finding.path[0].evidence if finding.path else ()
        before = " (it was there before that time)" if finding.began_before else ""
        if shown:
            claim = f"{plain(finding.fault)} by {named(finding.culprit)} began{before}, {finding.confidence:.0%} sure"
            yield Incident(finding.onset_ns, claim, shown)


def _signals(question: ParsedQuestion) -> Iterator[Incident]:
    for row in question.rows(Signal):
        if row.value is not None:
            claim = f"signal {row.rule}: {row.summary}"
            yield Incident(row.timestamp, claim, (shown_by([row], Signal.value, "last"),))


def _restarts(question: ParsedQuestion) -> Iterator[Incident]:
    """A program whose process ended and of which another began later."""
    columns = [Process.pid, Process.start_ticks, Process.comm, Process.rss_kb]
    rows = stored_rows(question.reader, Process, question.when, columns=columns)
    if not rows:
        return
    begin, end = rows[0].timestamp, rows[-1].timestamp
    lives: dict[str, dict[object, list[Process]]] = {}
    for row in rows:
        lives.setdefault(str(row.comm), {}).setdefault((row.pid, row.start_ticks), []).append(row)
    for comm, processes in lives.items():
        spans = sorted(
            ((own[0].timestamp, own[-1].timestamp, own) for own in processes.values()), key=lambda span: span[0]
        )
        for (_, last, old), (first, _, new) in pairwise(spans):
            if (
                first > last
                and first > begin
                and last < end
                and len(spans) <= _MOST_LIVES
                and first - last <= 60 * 1_000_000_000
            ):
                shown = tuple(seen(row) for row in (old[-1], new[0]))
                yield Incident(
                    first,
                    f"{comm} was started again: process {new[0].pid} took the place of {old[0].pid}",
                    shown,
                    is_failure=False,
                )


def seen(row: Process) -> Evidence:
    """That a process was there."""
    return shown_by([row], Process.pid if row.rss_kb is None else Process.rss_kb, "count")
