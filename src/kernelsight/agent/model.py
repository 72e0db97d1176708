"""What an investigation yields: a diagnosis, an answer in proven claims, what was not proven, and what it cost."""

from __future__ import annotations

import msgspec

from kernelsight.diagnosis.model import Diagnosis, Proposal, Step


class Doubt(msgspec.Struct, frozen=True):
    """Something that a reasoner claimed and that the store does not show; no part of its answer."""

    claim: str
    why: str


class Usage(msgspec.Struct, frozen=True):
    """What an investigation cost."""

    seconds: float = 0.0
    steps: int = 0
    """Requests to the model."""
    calls: int = 0
    """Of tools."""
    retries: int = 0
    input_tokens: int = 0
    cached_tokens: int = 0
    """Contained in those of the input."""
    output_tokens: int = 0
    """Those of thoughts included."""
    cost_usd: float | None = None
    """None where no price is known."""


class Report(msgspec.Struct, frozen=True):
    """What a reasoner found out."""

    question: str
    """As it was asked; empty for an investigation: what is wrong, and what is to be done?"""
    reasoner: str
    diagnosis: Diagnosis
    answer: tuple[Step, ...] = ()
    """Claims that answer the question, beside what the findings say."""
    limits: tuple[str, ...] = ()
    """What the telemetry cannot tell, a sentence each."""
    doubts: tuple[Doubt, ...] = ()
    usage: Usage = Usage()
    explains: bool = False
    """Whether the question asks what is wrong, so that the findings belong to its answer."""
    stopped: str = ""
    """Why it ended before it was done, such as a budget; empty when it was done."""

    @property
    def is_known(self) -> bool:
        """Whether there is an answer: not where what was asked about was not recorded, or cannot be told."""
        if not self.question or self.explains or self.stopped:
            return self.diagnosis.verdict != "unknown"
        return bool(self.answer) or not (self.limits or self.diagnosis.unknown)

    @property
    def proposals(self) -> tuple[Proposal, ...]:
        """The plan: what the findings propose, the most certain first, nothing twice."""
        return tuple(dict.fromkeys(action for finding in self.diagnosis.findings for action in finding.actions))
