"""What a reasoner is: somebody to ask, who remembers the conversation and yields reports."""

from __future__ import annotations

import importlib
import importlib.util
from collections.abc import Callable
from dataclasses import dataclass
from typing import Protocol

from kernelsight.agent.model import Report
from kernelsight.errors import UsageError
from kernelsight.query.source import Source
from kernelsight.query.times import TimeRange

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


def reasoner(name: str, source: Source) -> Reasoner:
    """Begin a conversation with the reasoner of a name: that of a module in :mod:`kernelsight.agent.reasoners`.

    Raises:
        UsageError: there is none, or something that it needs is missing (a package, a key).
    """
    module = f"kernelsight.agent.reasoners.{name}"
    if not name.isidentifier() or importlib.util.find_spec(module) is None:
        raise UsageError(f"no reasoner is called {name!r}")
    begin: Callable[[Source], Reasoner] = importlib.import_module(module).begin
    return begin(source)
