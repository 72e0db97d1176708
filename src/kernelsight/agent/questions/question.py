"""A question taken apart: what it is about, whom it names, which time, and what follows from the question before."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from typing import Any, TypeVar

from kernelsight.agent.evidence import proof_of
from kernelsight.agent.questions.names import Kinds, Name, Names
from kernelsight.agent.questions.subjects import Metric, Subject
from kernelsight.diagnosis import diagnose
from kernelsight.diagnosis.model import Diagnosis, Evidence, How, Step
from kernelsight.events.block import Block
from kernelsight.events.cgroup import Cgroup
from kernelsight.events.declare import Event, Kind, kind_of
from kernelsight.events.fields import name_of
from kernelsight.events.filesystem import Filesystem
from kernelsight.events.network import Network
from kernelsight.query.filters import Filter
from kernelsight.query.presence import why_no_rows
from kernelsight.query.source import clipped
from kernelsight.query.stored import stored_rows
from kernelsight.query.times import TimeRange
from kernelsight.stores.base import Reader

_COUNT = re.compile(r"\b(?:top|first|last)?\s*(\d{1,3})\b(?!\s*(?:%|[a-zA-Z]?i?[bB]\b|ms|us|ns))")
_WHO = re.compile(r"\b(?:who|whose|whom|process|by what|what be|which (?:pid|user|one))\b")
_COUNTED = re.compile(r"\bhow (?:many|much) process\b")
_PARTS = tuple(
    (name_of(column), re.compile(pattern))
    for column, pattern in (
        (Block.device_name, (
            r"\bwhich (?:disk|device)\b|\b(?:busiest|slowest|fullest) (?:disk|device)\b|"
            r"\beach disk\b|\b(?:per|by) (?:disk|device)\b|\b(?:most|top) (?:\d+ )?(?:disk|device)$"
        )),
        (Network.interface_name, r"\b(?:which|each|per|by|top|most) interface\b"),
        (Filesystem.mount_point, r"\b(?:which|each|per|by) (?:mount|filesystem|partition|file system)\b"),
        (Cgroup.cgroup,
         r"\b(?:which|what|each|per|by|top|any) (?:cgroup|container|service|group|slice|pod)s?\b"),
    )
)  # fmt: skip
_YES_NO = re.compile(
    r"^\W*(?:(?:and|so|but|tell me|can you tell(?: me)?|do you know|ok|hey|hi|please)\W+)*"
    r"(?:is|are|was|were|am|did|does|do|has|have|had|any|anything|anybody|anyone|can|could|will|were there)\b",
    re.IGNORECASE,
)


E = TypeVar("E", bound=Event)
Answerer = Callable[["ParsedQuestion"], Iterable[Step]]
"""A function that answers the questions of one intent, the answer first and what shows it after."""


@dataclass(frozen=True, slots=True)
class Context:
    """What a question leaves behind for one that goes on from it (`and memory?`)."""

    when: TimeRange
    subject: Subject | None
    names: tuple[Name, ...]
    answered_by: Answerer


@dataclass
class ParsedQuestion:
    """A question, and the store to answer it from."""

    reader: Reader
    text: str
    """As it was asked, without its times."""
    plain: str
    """Its words in their plain form, without names and times."""
    when: TimeRange
    known_names: Names
    subject: Subject | None = None
    subjects: tuple[Subject, ...] = ()
    """All that it is about, where it joins several by `and` or `or`."""
    names: tuple[Name, ...] = ()
    ranges: tuple[TimeRange, ...] = ()
    """All times that it names."""
    before: Context | None = None
    """Of the question before, where this one goes on from it."""
    limits: list[str] = field(default_factory=list)
    """What cannot be told, to be said with the answer."""
    readings: list[str] = field(default_factory=list)
    """How misspelled words are read."""
    assumed: list[Step] = field(default_factory=list)
    """What the question is taken to mean, where it does not say."""
    explains: bool = False
    """Whether it asks what is wrong, so that the findings are its answer."""

    @cached_property
    def diagnosis(self) -> Diagnosis:
        """What is wrong in that time."""
        return diagnose(self.reader, self.when.start_ns, self.when.end_ns)

    @property
    def is_yes_no(self) -> bool:
        """Whether the answer begins with yes or no."""
        return _YES_NO.search(self.text) is not None

    @property
    def by_process(self) -> bool:
        """Whether it asks for processes."""
        return _WHO.search(_COUNTED.sub(" ", self.plain)) is not None and self.part is None

    @property
    def part(self) -> str | None:
        """The column that tells apart what it asks for, such as `device_name` of `which disk`."""
        return next((column for column, pattern in _PARTS if pattern.search(self.plain)), None)

    def names_of(self, kind: Kinds) -> list[Name]:
        """The names of one kind of thing."""
        return [name for name in self.names if name.kind == kind]

    def metric(self, *, whole: bool, unless: str) -> Metric | None:
        """The metric that the subject means; None, and said why, where there is none.

        Args:
            whole: prefer a metric of the machine to one of each process.
            unless: what to say where the question has no subject.
        """
        if self.subject is None:
            self.limits.append(unless)
            return None
        choice = self._fitting(self.subject, whole=whole)
        if not choice:
            who = ", ".join(name.said for name in self.names)
            self.limits.append(f"the records of {self.subject.name} do not say how much belongs to {who}")
            return None
        recorded = next((metric for metric in choice if self.recorded(metric.kind)), None)
        if recorded is None:
            why = why_no_rows(self.reader, choice[0].table, self.when)
            self.limits.append(f"nothing about {self.subject.name} was recorded in that time: {why}")
        return recorded

    def _fitting(self, subject: Subject, *, whole: bool) -> list[Metric]:
        """The metrics of a subject that have rows about everything that is named, the most likely one first."""
        fitting = [metric for metric in subject.metrics if len(self.conditions(metric)) == len(self.kinds_named)]
        part = self.part
        if part:
            own = [metric for metric in fitting if part in map(name_of, metric.by)]
            fitting = own or [metric for metric in fitting if part in metric.kind.by_name]
        process = not whole or self.by_process or bool(self.names_of("process"))
        return sorted(
            fitting, key=lambda metric: (metric.is_of_processes != process, bool(metric.by) != process, metric.rank)
        )

    @property
    def kinds_named(self) -> set[str]:
        """The kinds of things that are named."""
        return {name.kind for name in self.names}

    def conditions(self, metric: Metric) -> list[Filter[Any]]:
        """Which rows of a metric are about what the question names, one condition for each kind of thing."""
        return self.conditions_of(metric.kind)

    def conditions_of(self, kind: Kind) -> list[Filter[Any]]:
        """Likewise, of a kind of rows."""
        tests: dict[str, Filter[Any]] = {}
        for name in self.names:
            condition = name.condition_of(kind)
            if condition is not None:
                tests.setdefault(name.kind, condition)
        return list(tests.values())

    def recorded(self, kind: Kind) -> bool:
        """Whether there may be rows of a kind in that time."""
        return self.reader.holds(kind.table) and clipped(self.reader, kind.table, self.when) is not None

    def rows(self, kind: type[E], where: Sequence[Filter[E]] = (), *, limit: int | None = None) -> list[E]:
        """The rows of a kind in that time, by time; with a limit, the first ones."""
        if not self.recorded(kind_of(kind)):
            return []
        return stored_rows(self.reader, kind, self.when, where=where, limit=limit)

    @property
    def count(self) -> int:
        """How many things it asks for; five if it does not say."""
        match = _COUNT.search(self.plain)
        return int(match[1]) if match and int(match[1]) > 0 else 5

    def evidence(
        self, metric: Metric, how: How | None = None, where: Iterable[Filter[Any]] = (), when: TimeRange | None = None
    ) -> Evidence | None:
        """A number and its rows."""
        return proof_of(self.reader, metric.field, how or metric.how, when or self.when, tuple(where))

    def context(self, answered_by: Answerer) -> Context:
        """What the next question may go on from."""
        return Context(self.when, self.subject, self.names, answered_by)
