"""The reasoner that needs no network: the deterministic diagnosis, and what can be looked up by plain words."""

from __future__ import annotations

import re
import time
from collections.abc import Iterator, Sequence

import msgspec

from kernelsight.agent.budget import Budget
from kernelsight.agent.evidence import TooManyRowsError
from kernelsight.agent.model import Report, Usage
from kernelsight.agent.questions.intent import intent_of
from kernelsight.agent.questions.parse import parse_question
from kernelsight.agent.questions.question import Answerer, Context, ParsedQuestion
from kernelsight.agent.questions.reboots import before_reboot
from kernelsight.agent.questions.roles import resolve
from kernelsight.agent.questions.suggest import suggestion
from kernelsight.agent.questions.times import SpokenTimes, is_future, spoken_times
from kernelsight.agent.reasoner import Question, Reasoner, Tell, silent
from kernelsight.diagnosis.model import Step
from kernelsight.events.wire import kinds
from kernelsight.query.presence import why_nothing
from kernelsight.query.source import Source, extent, opened
from kernelsight.query.times import TimeRange
from kernelsight.stores.base import Reader

_GOES_ON = re.compile(r"^\s*(?:and|but|or|then|what about|how about|also)\b", re.IGNORECASE)
_FORESEES = re.compile(r"\b(?:will|run(?:ning)? out|going to|until)\b", re.IGNORECASE)


class Offline:
    """Answers with what the mechanisms find and what the query API tells."""

    name = "offline"

    def __init__(self, source: Source) -> None:
        self._source = source
        self._last: Context | None = None

    def ask(self, question: Question, tell: Tell = silent) -> Report:
        """Take the question apart, and answer it the way that fits; an empty one is about what is wrong."""
        del tell
        began = time.monotonic()
        with opened(self._source) as reader:
            parsed, steps = self._answered(reader, question)
            return Report(
                question=question.text,
                reasoner=self.name,
                diagnosis=parsed.diagnosis,
                answer=steps,
                limits=tuple(dict.fromkeys(parsed.limits)),
                explains=parsed.explains,
                usage=Usage(seconds=time.monotonic() - began),
            )

    def _answered(self, reader: Reader, question: Question) -> tuple[ParsedQuestion, tuple[Step, ...]]:
        now = time.time_ns()
        before = self._last if _GOES_ON.search(question.text) else None
        if not question.text.strip():
            return parse_question(reader, SpokenTimes((), ""), question.when, None)[0], ()
        said, otherwise = _times(reader, question, now)
        if said is None:
            parsed, _ = parse_question(reader, SpokenTimes((), question.text), question.when, before)
            parsed.limits.append("no restart of the machine is in the rows, so that nothing is known before it")
            return parsed, ()
        when = said.ranges[-1] if said.ranges else before.when if before else otherwise
        parsed, unknown = parse_question(reader, said, when, before)
        if _lies_ahead(parsed, question.text, now):
            parsed.limits.append("that time is still to come; ask when something will be full, or what was before now")
            return parsed, ()
        if unknown:
            parsed.limits += _not_understood(parsed, unknown)
            return parsed, ()
        answerer = self._answerer(parsed)
        if answerer is None:
            parsed.limits.append(f"without a model this cannot be answered; {suggestion(parsed)}")
        return parsed, self._steps(parsed, answerer) if answerer is not None and resolve(parsed) else ()

    def _answerer(self, parsed: ParsedQuestion) -> Answerer | None:
        intent = intent_of(parsed.plain, has_subject=parsed.subject is not None)
        if intent is not None and not (intent.needs_subject and parsed.before and parsed.plain in {"", "and"}):
            return (
                _of_each_subject(intent.answer) if intent.each_subject and len(parsed.subjects) > 1 else intent.answer
            )
        if parsed.before:
            return parsed.before.answered_by
        if parsed.ranges and not parsed.names and parsed.subject is None:
            happened = intent_of("what happen", has_subject=False)
            return happened.answer if happened else None
        return None

    def _steps(self, parsed: ParsedQuestion, answerer: Answerer) -> tuple[Step, ...]:
        try:
            steps = list(answerer(parsed))
        except TooManyRowsError as error:
            parsed.limits.append(str(error))
            steps = []
        self._last = parsed.context(answerer)
        if steps and parsed.readings:
            steps[0] = msgspec.structs.replace(steps[0], claim=f"{steps[0].claim} ({'; '.join(parsed.readings)})")
        return tuple([*steps, *parsed.assumed] if steps or parsed.explains else ())


def _of_each_subject(answerer: Answerer) -> Answerer:
    """The same way for each of the subjects of a question."""

    def answer(parsed: ParsedQuestion) -> Iterator[Step]:
        for subject in parsed.subjects:
            parsed.subject = subject
            yield from answerer(parsed)

    return answer


def _times(reader: Reader, question: Question, now_ns: int) -> tuple[SpokenTimes | None, TimeRange]:
    """The question with its times taken out, and the time that it is about where it names none."""
    match = before_reboot(question.text)
    if match is None:
        return spoken_times(question.text, now_ns), question.when
    when = match.range(reader)
    if when is None:
        return None, question.when
    return SpokenTimes((when,), spoken_times(match.rest, now_ns).rest), when


def _lies_ahead(parsed: ParsedQuestion, text: str, now_ns: int) -> bool:
    if any(when.start_ns > now_ns for when in parsed.ranges):
        return True
    return is_future(text) and not (parsed.ranges and not _FORESEES.search(text))


def _not_understood(parsed: ParsedQuestion, unknown: Sequence[str]) -> list[str]:
    words = " and ".join(f"“{word}”" for word in dict.fromkeys(unknown))
    names = " or ".join(dict.fromkeys(unknown))
    ever = extent(parsed.reader, (kind.table for kind in kinds().values() if parsed.reader.holds(kind.table)))
    if ever is None or ever.end_ns < parsed.when.start_ns or ever.start_ns > parsed.when.end_ns:
        return [why_nothing(parsed.reader)]
    return [
        (
            f"I did not understand {words}: nothing called {names} is in the rows of that time,"
            f" and without a model I know no other meaning of it; {suggestion(parsed)}"
        )
    ]


def begin(source: Source, budget: Budget, model: str | None = None) -> Reasoner:
    """Begin a conversation; it costs nothing, and there is one model of the machine."""
    del budget, model
    return Offline(source)
