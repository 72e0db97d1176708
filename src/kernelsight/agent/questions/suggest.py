"""What somebody may have meant whose question was not understood."""

from __future__ import annotations

from difflib import SequenceMatcher

from kernelsight.agent.questions.intent import intents
from kernelsight.agent.questions.question import ParsedQuestion

_SUGGESTED = 3


def suggestion(question: ParsedQuestion) -> str:
    """Questions that can be asked as they stand, those nearest to this one, as a part of a sentence."""
    words = set(question.plain.split())
    examples = list(dict.fromkeys(example for known in intents() for example in known.examples))
    subject = question.subject.name if question.subject else ""

    def nearness(example: str) -> tuple[float, float]:
        own = set(example.lower().strip("?").split())
        shared = len(words & own) + (1 if subject and subject in example else 0)
        return -shared, -SequenceMatcher(None, question.text.lower(), example.lower()).ratio()

    nearest = sorted(examples, key=nearness)[:_SUGGESTED]
    return "did you mean: " + " ".join(f"“{example}”" for example in nearest)
