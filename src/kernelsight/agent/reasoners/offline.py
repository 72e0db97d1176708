"""The reasoner that needs no network: the deterministic diagnosis, and what can be looked up by plain words."""

from __future__ import annotations

import re
import time
from collections.abc import Iterator, Sequence

import msgspec

from kernelsight.agent.budget import Budget
from kernelsight.agent.evidence import TooManyRowsError
from kernelsight.agent.model import Report, Usage
from kernelsight.agent.plain.asked import Asked, Context, Way, intent_of
from kernelsight.agent.plain.parse import taken_apart
from kernelsight.agent.plain.reboots import before_reboot
from kernelsight.agent.plain.roles import resolve
from kernelsight.agent.plain.suggest import suggestion
from kernelsight.agent.plain.times import Spoken, is_future, spoken
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
            asked, steps = self._answered(reader, question)
            return Report(
                question=question.text,
                reasoner=self.name,
                diagnosis=asked.diagnosis,
                answer=steps,
                limits=tuple(dict.fromkeys(asked.limits)),
                explains=asked.explains,
                usage=Usage(seconds=time.monotonic() - began),
            )

    def _answered(self, reader: Reader, question: Question) -> tuple[Asked, tuple[Step, ...]]:
        now = time.time_ns()
        before = self._last if _GOES_ON.search(question.text) else None
        if not question.text.strip():
            return taken_apart(reader, Spoken((), ""), question.when, None)[0], ()
        said, otherwise = _times(reader, question, now)
        if said is None:
            asked, _ = taken_apart(reader, Spoken((), question.text), question.when, before)
            asked.limits.append("no restart of the machine is in the rows, so that nothing is known before it")
            return asked, ()
        when = said.ranges[-1] if said.ranges else before.when if before else otherwise
        asked, unknown = taken_apart(reader, said, when, before)
        if _lies_ahead(asked, question.text, now):
            asked.limits.append("that time is still to come; ask when something will be full, or what was before now")
            return asked, ()
        if unknown:
            asked.limits += _not_understood(asked, unknown)
            return asked, ()
        way = self._way(asked)
        if way is None:
            asked.limits.append(f"without a model this cannot be answered; {suggestion(asked)}")
        return asked, self._steps(asked, way) if way is not None and resolve(asked) else ()

    def _way(self, asked: Asked) -> Way | None:
        found = intent_of(asked.plain, has_subject=asked.subject is not None)
        if found is not None and not (found.needs_subject and asked.before and asked.plain in {"", "and"}):
            return _of_each_subject(found.way) if found.each_subject and len(asked.subjects) > 1 else found.way
        if asked.before:
            return asked.before.answered_by
        if asked.ranges and not asked.names and asked.subject is None:
            happened = intent_of("what happen", has_subject=False)
            return happened.way if happened else None
        return None

    def _steps(self, asked: Asked, way: Way) -> tuple[Step, ...]:
        try:
            steps = list(way(asked))
        except TooManyRowsError as error:
            asked.limits.append(str(error))
            steps = []
        self._last = asked.context(way)
        if steps and asked.readings:
            steps[0] = msgspec.structs.replace(steps[0], claim=f"{steps[0].claim} ({'; '.join(asked.readings)})")
        return tuple([*steps, *asked.assumed] if steps or asked.explains else ())


def _of_each_subject(way: Way) -> Way:
    """The same way for each of the subjects of a question."""

    def answer(asked: Asked) -> Iterator[Step]:
        for subject in asked.subjects:
            asked.subject = subject
            yield from way(asked)

    return answer


def _times(reader: Reader, question: Question, now_ns: int) -> tuple[Spoken | None, TimeRange]:
    """The question with its times taken out, and the time that it is about where it names none."""
    match = before_reboot(question.text)
    if match is None:
        return spoken(question.text, now_ns), question.when
    when = match.range(reader)
    if when is None:
        return None, question.when
    return Spoken((when,), spoken(match.rest, now_ns).rest), when


def _lies_ahead(asked: Asked, text: str, now_ns: int) -> bool:
    if any(when.start_ns > now_ns for when in asked.ranges):
        return True
    return is_future(text) and not (asked.ranges and not _FORESEES.search(text))


def _not_understood(asked: Asked, unknown: Sequence[str]) -> list[str]:
    words = " and ".join(f"“{word}”" for word in dict.fromkeys(unknown))
    names = " or ".join(dict.fromkeys(unknown))
    ever = extent(asked.reader, (kind.table for kind in kinds().values() if asked.reader.holds(kind.table)))
    if ever is None or ever.end_ns < asked.when.start_ns or ever.start_ns > asked.when.end_ns:
        return [why_nothing(asked.reader)]
    return [
        (
            f"I did not understand {words}: nothing called {names} is in the rows of that time,"
            f" and without a model I know no other meaning of it; {suggestion(asked)}"
        )
    ]


def begin(source: Source, budget: Budget, model: str | None = None) -> Reasoner:
    """Begin a conversation; it costs nothing, and there is one model of the machine."""
    del budget, model
    return Offline(source)
