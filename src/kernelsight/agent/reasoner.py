"""What a reasoner is: somebody to ask, who remembers the conversation and yields reports."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Protocol

from kernelsight.agent.budget import Budget
from kernelsight.agent.gemini.settings import has_key, has_package
from kernelsight.agent.model import Report
from kernelsight.errors import UsageError
from kernelsight.query.source import Source
from kernelsight.query.times import TimeRange
from kernelsight.registry import Plugins

AUTO = "auto"
"""Choose by what there is."""

Tell = Callable[[str], None]
"""Takes what a reasoner does while it does it: a line for a person."""


def silent(line: str) -> None:
    """Tell nobody."""
    del line


@dataclass(frozen=True, slots=True)
class Question:
    """What is asked about which time."""

    when: TimeRange
    text: str = ""
    """Empty: investigate, that is find what is wrong, who causes it, and what to do."""


class Reasoner(Protocol):
    """One conversation about one store."""

    name: str

    def ask(self, question: Question, tell: Tell = silent) -> Report:
        """Answer, knowing what was said before.

        Raises:
            UsageError: the question names something that cannot be asked for.
            StoreError: the store cannot be read.
        """


_REASONERS: Plugins[Callable[[Source, Budget, str | None], Reasoner]] = Plugins(
    "kernelsight.agent.reasoners", lambda module: module.begin
)


def reasoner(name: str, source: Source, budget: Budget = Budget(), model: str | None = None) -> Reasoner:  # noqa: B008 - immutable
    """Begin a conversation with the reasoner of a name: that of a module in :mod:`kernelsight.agent.reasoners`.

    Args:
        name: `offline`, `gemini`, or `auto`: the model where it can be asked, else offline.
        source: the store.
        budget: what one answer may cost.
        model: which model, where there is a choice.

    Raises:
        UsageError: there is no such reasoner, or something that it needs is missing (a package, a key).
    """
    if name == AUTO:
        name = "gemini" if has_key() and has_package() else "offline"
    begin = _REASONERS.get(name)
    if begin is None:
        raise UsageError(f"no reasoner is called {name!r}; there are {', '.join([AUTO, *names()])}")
    return begin(source, budget, model)


def names() -> list[str]:
    """The reasoners that there are."""
    return _REASONERS.names()
