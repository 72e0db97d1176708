"""A report as lines for a person: the answer with its evidence, the findings, what is not known, and the cost."""

from __future__ import annotations

from collections.abc import Iterator

from kernelsight.agent.commands import command
from kernelsight.agent.model import Report, Usage
from kernelsight.diagnosis.model import Evidence
from kernelsight.diagnosis.report import Line, cited, muted
from kernelsight.diagnosis.report import report as diagnosis_lines
from kernelsight.diagnosis.summary import finding_sentence
from kernelsight.moments import to_second


def lines(report: Report) -> Iterator[Line]:
    """The lines of a report; those of an investigation are the diagnosis's."""
    if report.stopped:
        yield Line(f"The model gave no answer ({report.stopped}); this is what the diagnosis says by itself.", "fault")
    if report.question and not report.stopped:
        yield from _answer(report)
    if not report.question or report.stopped or report.explains:
        yield from diagnosis_lines(report.diagnosis, command=command)
    else:
        yield from _in_short(report)
    if report.doubts:
        yield Line("")
        yield Line("Claimed, but not shown by the rows, and therefore left out:", "quiet")
        yield from (Line(f"  {doubt.claim}: {doubt.why}", "quiet") for doubt in report.doubts)
    if report.usage.steps:
        yield Line("")
        yield Line(_cost(report.reasoner, report.usage), "quiet")


def _answer(report: Report) -> Iterator[Line]:
    for number, step in enumerate(report.answer, 1):
        yield Line(f"{number}. {step.claim}", "claim")
        yield from (Line(f"   {cited(evidence)}, {_when(evidence)}", "quiet") for evidence in step.evidence)
    for limit in report.limits:
        yield Line(f"Not known: {limit}")
    if report.answer or report.limits:
        yield Line("")


def _when(evidence: Evidence) -> str:
    first, last = to_second(evidence.start_ns), to_second(evidence.end_ns)
    return first if first == last else f"{first} to {last}"


def _in_short(report: Report) -> Iterator[Line]:
    """The findings of that time, for a question about something else; or why they are not known."""
    for note in report.diagnosis.notes:
        yield Line(f"In that time: {note.text}, at {to_second(note.timestamp)}")
    yield from (Line(f"In that time: {sentence}") for sentence in muted(report.diagnosis))
    if report.diagnosis.verdict == "unknown":
        yield from (Line(f"Not known: {sentence}") for sentence in report.diagnosis.unknown)
    for finding in report.diagnosis.findings:
        yield Line(f"In that time: {finding_sentence(report.diagnosis, finding)}", "fault")


def _cost(reasoner: str, usage: Usage) -> str:
    price = "" if usage.cost_usd is None else f", at most ${usage.cost_usd:.4f}"
    return (
        f"{reasoner}: {usage.steps} requests, {usage.calls} calls of tools, {usage.retries} retries, "
        f"{usage.input_tokens:,} tokens in ({usage.cached_tokens:,} cached), {usage.output_tokens:,} out, "
        f"{usage.seconds:.1f} s{price}"
    )
