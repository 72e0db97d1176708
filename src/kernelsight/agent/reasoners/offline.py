"""The reasoner that needs no network: the deterministic diagnosis, and what can be looked up by plain words."""

from __future__ import annotations

import re
import time

from kernelsight.agent.budget import Budget
from kernelsight.agent.model import Report, Usage
from kernelsight.agent.plain.asked import Asked, Context, examples, way_of
from kernelsight.agent.plain.times import spoken
from kernelsight.agent.reasoner import Question, Reasoner, Tell, silent
from kernelsight.diagnosis.model import Step
from kernelsight.modules import modules_of
from kernelsight.query.source import Source, opened
from kernelsight.stores.base import Reader

_GOES_ON = re.compile(r"^\s*(?:and|but|or|then|what about|how about|also)\b", re.IGNORECASE)
_SUBJECT = re.compile(
    r"\bwhy\s+(?:was|is|were|are|did|does|do)\s+(?:the\s+)?([\w./:@+-]+)\s+(?:so\s+|very\s+)?\w+", re.IGNORECASE
)
_MACHINE = frozenset({"machine", "system", "computer", "server", "box", "host", "everything", "it", "this", "there"})


class Offline:
    """Answers with what the hypotheses find and what the query API tells."""

    name = "offline"

    def __init__(self, source: Source) -> None:
        self._source = source
        self._last: Context | None = None
        modules_of("kernelsight.agent.plain.ways")

    def ask(self, question: Question, tell: Tell = silent) -> Report:
        """Take the question apart, and answer it the way that fits; an empty one is about what is wrong."""
        del tell
        began = time.monotonic()
        with opened(self._source) as reader:
            asked = self._taken_apart(reader, question)
            steps = self._answer(asked) if question.text else ()
            return Report(
                question=question.text,
                reasoner=self.name,
                diagnosis=asked.diagnosis,
                answer=steps,
                limits=tuple(asked.limits),
                explains=asked.explains,
                usage=Usage(seconds=time.monotonic() - began),
            )

    def _taken_apart(self, reader: Reader, question: Question) -> Asked:
        now = time.time_ns()
        said = spoken(question.text, now)
        before = self._last if _GOES_ON.search(question.text) else None
        when = said.ranges[-1] if said.ranges else before.when if before else question.when
        return Asked(reader, said.rest, when, said.ranges, before)

    def _answer(self, asked: Asked) -> tuple[Step, ...]:
        how = way_of(asked.text)
        if how is None and asked.before:
            how = asked.before.answered_by
        if how is None and asked.ranges:
            how = way_of("what happened")
        if how is None:
            known = "; ".join(f"“{example}”" for example in examples())
            asked.limits.append(f"without a model this cannot be answered; what can be: {known}")
            return ()
        subject = _SUBJECT.search(asked.text)
        if subject and not asked.names and asked.topic is None and subject[1].lower() not in _MACHINE:
            asked.limits.append(f"nothing called {subject[1]} is in the rows of that time")
        steps = tuple(how(asked))
        self._last = asked.context(how)
        return steps


def begin(source: Source, budget: Budget, model: str | None = None) -> Reasoner:
    """Begin a conversation; it costs nothing, and there is one model of the machine."""
    del budget, model
    return Offline(source)
