"""A diagnosis in one sentence, and where all of it stands."""

from __future__ import annotations

from typing import Annotated

import msgspec

from kernelsight.diagnosis.model import Diagnosis
from kernelsight.diagnosis.summary import finding_sentence, sentence
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
    more = [printable(one) for one in diagnosis.unknown[:3]]
    return Headline(
        answer=diagnosis.verdict,
        sentence=printable(
            finding_sentence(diagnosis, diagnosis.findings[0]) if diagnosis.findings else sentence(diagnosis)
        ),
        more=more,
        path=incident_path(window.start_ns, window.end_ns),
        start_ns=window.start_ns,
        end_ns=window.end_ns,
    )
