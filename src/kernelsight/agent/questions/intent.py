"""Kinds of questions: by which words each is known, and which function answers it."""

from __future__ import annotations

import re
from collections.abc import Callable, Sequence
from dataclasses import dataclass

from kernelsight.agent.questions.question import Answerer
from kernelsight.registry import Registry


@dataclass(frozen=True, slots=True)
class Intent:
    """A kind of question, and how it is answered."""

    order: int
    pattern: re.Pattern[str]
    answer: Answerer
    examples: tuple[str, ...]
    needs_subject: bool
    each_subject: bool
    """Whether a question about several subjects is answered about each."""


_INTENTS: Registry[str, Intent] = Registry(
    "intent", "kernelsight.agent.questions.intents", order=lambda declared: declared[1].order
)


def intent(
    pattern: str, *, order: int, examples: Sequence[str], needs_subject: bool = False, each_subject: bool = False
) -> Callable[[Answerer], Answerer]:
    """Register how questions are answered whose words in their plain form match; the lowest order comes first.

    Args:
        pattern: regular expression.
        order: where several match.
        examples: questions of this kind that can be asked as they stand.
        needs_subject: it is meant only where the question is about some metric.
        each_subject: a question about several subjects (`errors or retransmits`) is answered about each.
    """

    def declare(function: Answerer) -> Answerer:
        name = f"{function.__module__}.{function.__qualname__}, {pattern}"
        _INTENTS.add(name, Intent(order, re.compile(pattern), function, tuple(examples), needs_subject, each_subject))
        return function

    return declare


def intent_of(plain: str, *, has_subject: bool) -> Intent | None:
    """The intent of a question; None where it has none."""
    return next(
        (known for known in intents() if (has_subject or not known.needs_subject) and known.pattern.search(plain)), None
    )


def intents() -> Sequence[Intent]:
    """All of them."""
    return tuple(_INTENTS.all().values())
