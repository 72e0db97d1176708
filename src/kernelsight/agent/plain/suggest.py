"""What somebody may have meant whose question was not understood."""

from __future__ import annotations

from difflib import SequenceMatcher

from kernelsight.agent.plain.asked import Asked, intents

_SUGGESTED = 3


def suggestion(asked: Asked) -> str:
    """Questions that can be asked as they stand, those nearest to this one, as a part of a sentence."""
    words = set(asked.plain.split())
    examples = list(dict.fromkeys(example for known in intents() for example in known.examples))
    subject = asked.subject.name if asked.subject else ""

    def nearness(example: str) -> tuple[float, float]:
        own = set(example.lower().strip("?").split())
        shared = len(words & own) + (1 if subject and subject in example else 0)
        return -shared, -SequenceMatcher(None, asked.text.lower(), example.lower()).ratio()

    nearest = sorted(examples, key=nearness)[:_SUGGESTED]
    return "did you mean: " + " ".join(f"“{example}”" for example in nearest)
