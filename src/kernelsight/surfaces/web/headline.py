"""A diagnosis in one sentence, and where all of it stands."""

from __future__ import annotations

from typing import Annotated

import msgspec

from kernelsight.diagnosis.model import Diagnosis
from kernelsight.diagnosis.report import introduced, plain, since
from kernelsight.events.action import Answer
from kernelsight.printable import printable


class Headline(msgspec.Struct, kw_only=True):
    """The verdict on a window."""

    answer: Answer
    sentence: str
    more: list[str]
    """What else there is to say, a sentence each."""
    path: Annotated[str, msgspec.Meta(description="The page of the incident.")]
    start_ns: int
    end_ns: int


def incident_path(start_ns: int, end_ns: int) -> str:
    """The page of the incident in a window; it stays the same."""
    return f"/incident/{start_ns}-{end_ns}"


def headline(diagnosis: Diagnosis) -> Headline:
    """The sentence of a diagnosis."""
    window = diagnosis.window
    sentences = [
        f"{plain(finding.fault).capitalize()} by {introduced(diagnosis, finding.culprit)} {since(finding)}, "
        f"{finding.confidence:.0%} sure"
        for finding in diagnosis.findings
    ]
    if not sentences:
        sentences = (
            [f"Healthy{diagnosis.but_for}: nobody suffers, nothing fails, nothing is about to run out"]
            if diagnosis.healthy
            else ["Not known: whether anybody suffers cannot be told"]
        )
    first, *more = [f"{printable(sentence)}." for sentence in sentences]
    more += [printable(sentence) for sentence in diagnosis.unknown[:3]]
    return Headline(
        answer=diagnosis.verdict,
        sentence=first,
        more=more,
        path=incident_path(window.start_ns, window.end_ns),
        start_ns=window.start_ns,
        end_ns=window.end_ns,
    )
