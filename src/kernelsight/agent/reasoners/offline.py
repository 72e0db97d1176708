"""The reasoner that needs no network: the deterministic diagnosis."""

from __future__ import annotations

import time

from kernelsight.agent.budget import Budget
from kernelsight.agent.model import Report, Usage
from kernelsight.agent.reasoner import Question, Reasoner, Tell, silent
from kernelsight.diagnosis import diagnose
from kernelsight.query.source import Source


class Offline:
    """Answers with what the hypotheses find."""

    name = "offline"

    def __init__(self, source: Source) -> None:
        self._source = source

    def ask(self, question: Question, tell: Tell = silent) -> Report:
        """Diagnose the window that is asked about."""
        del tell
        began = time.monotonic()
        found = diagnose(self._source, question.when.start_ns, question.when.end_ns)
        return Report(question.text, self.name, found, usage=Usage(seconds=time.monotonic() - began))


def begin(source: Source, budget: Budget, model: str | None = None) -> Reasoner:
    """Begin a conversation; it costs nothing, and there is one model of the machine."""
    del budget, model
    return Offline(source)
