"""Waits that were long together, and what ended them."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any

from kernelsight.agent.evidence import proof_of
from kernelsight.agent.questions.question import ParsedQuestion
from kernelsight.agent.questions.words import group_name
from kernelsight.diagnosis.model import Evidence
from kernelsight.events.declare import kind_of
from kernelsight.events.fields import Field, name_of
from kernelsight.events.scheduler import Wait
from kernelsight.quantities import quantity
from kernelsight.query.filters import Filter
from kernelsight.query.top import Group, leading

_BLOCKED = Filter(Wait.state, "=", "uninterruptible")
_TELLING_NS = 100_000_000
"""Shorter waits within a window are what every program does."""


@dataclass(frozen=True, slots=True)
class LongWait:
    """Waits of one process in one place that another one ended."""

    group: Group[Wait]
    evidence: Evidence

    @property
    def how(self) -> str:
        """Where it waited, for how long, and who ended it, to go on a sentence with."""
        waker_pid, place = self.group.of(Wait.waker_pid), self.group.of(Wait.waits_in)
        waker = {name_of(Wait.waker_comm): self.group.of(Wait.waker_comm), name_of(Wait.waker_pid): waker_pid}
        where, long = f" in {place}" if place else "", quantity(self.evidence.value, "ns")
        return f"{where} for {long} until {group_name(waker) if waker_pid else 'an interrupt'} woke it"


def long_waits(
    question: ParsedQuestion, where: Sequence[Filter[Wait]], by: Sequence[Field[Wait, Any]], most: int
) -> Iterator[LongWait]:
    """The longest uninterruptible waits.

    Args:
        question: the question.
        where: of whom.
        by: what tells apart who waited.
        most: as many.
    """
    if not question.recorded(kind_of(Wait)):
        return
    columns = (*by, Wait.waker_comm, Wait.waker_pid, Wait.waits_in)
    test = [*where, _BLOCKED]
    for group in leading(question.reader, Wait, Wait.wait_ns, columns, question.when, n=most, where=test):
        own = [*test, *(Filter(column, "=", group.of(column)) for column in columns)]
        evidence = proof_of(question.reader, Wait.wait_ns, "sum", question.when, own)
        if evidence is not None and evidence.value >= _TELLING_NS:
            yield LongWait(group, evidence)
