"""Whether anything is wrong at all: what the diagnosis says, with yes or no before it."""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Sequence

from kernelsight.agent.questions.intent import intent
from kernelsight.agent.questions.intents.trend import sampled
from kernelsight.agent.questions.intents.why import concerns
from kernelsight.agent.questions.question import ParsedQuestion
from kernelsight.diagnosis.fault import Part
from kernelsight.diagnosis.model import Finding, Step
from kernelsight.diagnosis.naming import named, plain
from kernelsight.diagnosis.registry import fault_classes

_BAD = re.compile(r"\b(?:wrong|problem|bad|matter|struggl\w+|trouble|suffer\w*|unhealthy)\b")

_PARTS: tuple[tuple[re.Pattern[str], Part], ...] = (
    (re.compile(r"\b(?:tcp|network|connection|socket|interface|packet)\b"), "network"),
    (re.compile(r"\b(?:disk|io|storage|filesystem|mount|space)\b"), "disk"),
    (re.compile(r"\b(?:memory|swap|oom)\b"), "memory"),
    (re.compile(r"\b(?:cpu|load|schedul\w+)\b"), "cpu"),
    (re.compile(r"\b(?:lock|deadlock)\b"), "lock"),
)
"""What a question may narrow itself to, in its words."""


@intent(
    r"\b(?:wrong|healthy|unhealthy|health|problem|alright|the matter|struggl\w+)\b|^\W*(?:be|is|are) (?:\w+ "
    r"){0,3}(?:ok|okay|fine|well|good)\b|"
    r"\beverything (?:ok|okay|fine|good|well)\b",
    order=12,
    examples=("is anything wrong?", "is everything ok?"),
)
def health(question: ParsedQuestion) -> Iterable[Step]:
    """The findings; of whom the question names only theirs."""
    values = {str(name.value) for name in question.names}
    findings = [finding for finding in question.diagnosis.findings if not values or concerns(finding, values)]
    part = next((part for words, part in _PARTS if words.search(question.plain)), None)
    if part is not None:
        findings = [finding for finding in findings if part in fault_classes()[finding.fault].parts]
    question.explains = not values and part is None
    asks_bad = _BAD.search(question.plain) is not None
    if findings:
        head = ("Yes: " if asks_bad else "No: ") if question.is_yes_no else ""
        return _found(head, findings)
    open_faults = [
        open_fault for open_fault in question.diagnosis.not_excluded if part in fault_classes()[open_fault.fault].parts
    ]
    if open_faults:
        faults = ", ".join(plain(open_fault.fault) for open_fault in open_faults)
        question.limits.append(
            f"the diagnosis finds no such fault, but cannot exclude {faults}: the events that would "
            "show it were not recorded; ask about recorded events, such as “any network errors?” or “are there "
            "retransmits?”"
        )
        return ()
    return _none(question, asks_bad=asks_bad)


def _found(head: str, findings: Sequence[Finding]) -> Iterator[Step]:
    for place, finding in enumerate(findings):
        shown = finding.path[0].evidence if finding.path else ()
        if shown:
            claim = f"{plain(finding.fault)} by {named(finding.culprit)}, {finding.confidence:.0%} sure"
            yield Step(f"{head if place == 0 else ''}{claim}", shown)


def _none(question: ParsedQuestion, *, asks_bad: bool) -> Iterator[Step]:
    if question.diagnosis.verdict == "unknown":
        question.limits += question.diagnosis.unknown
        return
    shown = sampled(question)
    if shown is None:
        question.limits.append("nothing was sampled in that time")
        return
    head = ("No: " if asks_bad else "Yes: ") if question.is_yes_no else ""
    about = f" about {', '.join(name.said for name in question.names)}" if question.names else ""
    if question.diagnosis.findings and not about:
        about = " with what was asked about, though something else is"
    yield Step(f"{head}the diagnosis finds nothing wrong{about} in that time{question.diagnosis.but_for}", (shown,))
