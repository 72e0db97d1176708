"""A question taken apart: what it is about, whom it names, which time, and what follows from the question before."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field
from functools import cached_property

from kernelsight.agent.evidence import proof
from kernelsight.agent.plain.topics import Metric, Topic, topic_of
from kernelsight.diagnosis import diagnose
from kernelsight.diagnosis.model import Diagnosis, Evidence, How, Step
from kernelsight.events.wire import kinds
from kernelsight.query.dialect import Sql, run
from kernelsight.query.filters import Condition
from kernelsight.query.presence import why_no_rows
from kernelsight.query.source import clipped
from kernelsight.query.times import TimeRange
from kernelsight.stores.base import Reader, Value

_NAMED_BY = (
    ("process", "sched_process", "comm"),
    ("process", "process", "comm"),
    ("device", "block", "device_name"),
    ("interface", "network", "interface_name"),
    ("mount", "filesystem", "mount_point"),
    ("cgroup", "cgroup", "cgroup"),
)
"""What people name in questions: the kind of thing, and where its names stand."""
_PID = re.compile(r"\b(?:pid|process)\s+(\d{1,10})\b", re.IGNORECASE)
_WORD = re.compile(r"[\w./:@+-]+")
_COUNT = re.compile(r"\b(?:top|first|last)?\s*(\d{1,3})\b(?!\s*(?:%|[a-zA-Z]?i?[bB]\b|ms|us|ns))")
_COMM_LENGTH = 15
"""Characters that the kernel keeps of a thread's name (TASK_COMM_LEN less its end)."""
_LEAST_WORD = 3
"""Shorter words are hardly meant as names unless they stand in quotation marks."""
_COMMON = frozenset(
    {"the", "was", "for", "and", "who", "what", "why", "when", "how", "top", "are", "not", "has", "had", "does", "did",
     "this", "that", "which", "most"}
)  # fmt: skip
"""Words of every question, which some program may be called as well."""


@dataclass(frozen=True, slots=True)
class Name:
    """Something that a question names."""

    kind: str
    column: str
    value: Value
    said: str

    def condition(self, metric: Metric) -> Condition | None:
        """Which rows are its; None where the metric's rows do not tell."""
        return Condition(self.column, "=", self.value) if self.column in metric.kind.by_name else None


Way = Callable[["Asked"], Iterable[Step]]
"""A function that answers a kind of questions."""


@dataclass(frozen=True, slots=True)
class Context:
    """What a question leaves behind for one that goes on from it (`and memory?`)."""

    when: TimeRange
    topic: Topic | None
    names: tuple[Name, ...]
    answered_by: Way


@dataclass
class Asked:
    """A question, and the store to answer it from."""

    reader: Reader
    text: str
    when: TimeRange
    ranges: tuple[TimeRange, ...] = ()
    """All times that it names."""
    before: Context | None = None
    """Of the question before, where this one goes on from it."""
    limits: list[str] = field(default_factory=list)
    """What cannot be told, to be said with the answer."""
    explains: bool = False
    """Whether it asks what is wrong, so that the findings are its answer."""

    @cached_property
    def topic(self) -> Topic | None:
        """What it is about."""
        return topic_of(self.text) or (self.before.topic if self.before else None)

    @cached_property
    def names(self) -> tuple[Name, ...]:
        """Whom or what it names, of all that there are rows of in that time."""
        found = tuple(self._named())
        return found or (self.before.names if self.before else ())

    @cached_property
    def diagnosis(self) -> Diagnosis:
        """What is wrong in that time."""
        return diagnose(self.reader, self.when.start_ns, self.when.end_ns)

    def metric(self, *, whole: bool, unless: str) -> Metric | None:
        """The metric that the topic means; None, and said why, where there is none.

        Args:
            whole: prefer what is known of the machine to what is known of each who uses it.
            unless: what to say where the question has no topic.
        """
        if self.topic is None:
            self.limits.append(unless)
            return None
        parts = (self.topic.whole, self.topic.metrics) if whole else (self.topic.metrics, self.topic.whole)
        choice = [metric for part in parts for metric in part]
        # Of a device that is named not the processes' share is meant, which does not tell devices apart.
        choice.sort(key=lambda metric: -len(self.conditions(metric)))
        found = next((one for one in choice if clipped(self.reader, one.table, self.when)), None)
        if found is None:
            why = why_no_rows(self.reader, choice[0].table, self.when)
            self.limits.append(f"nothing about {self.topic.name} was recorded in that time: {why}")
        return found

    def conditions(self, metric: Metric) -> list[Condition]:
        """Which rows of a metric are about what the question names."""
        return [one for name in self.names if (one := name.condition(metric)) is not None]

    @property
    def count(self) -> int:
        """How many things it asks for; five if it does not say."""
        match = _COUNT.search(self.text)
        return int(match[1]) if match and int(match[1]) > 0 else 5

    def shown(
        self, metric: Metric, how: How | None = None, where: Iterable[Condition] = (), when: TimeRange | None = None
    ) -> Evidence | None:
        """A number and its rows."""
        return proof(self.reader, metric.table, metric.column, how or metric.how, when or self.when, tuple(where))

    def context(self, answered_by: Way) -> Context:
        """What the next question may go on from."""
        return Context(self.when, self.topic, self.names, answered_by)

    def _named(self) -> Iterable[Name]:
        pid = _PID.search(self.text)
        if pid:
            yield Name("process", "pid", int(pid[1]), f"process {pid[1]}")
            return
        words = {word.strip(".:") for word in _WORD.findall(self.text)}
        seen: set[tuple[str, str]] = set()
        for kind, rows_of, column in _NAMED_BY:
            for value in self._values(rows_of, column):
                said = _said(value, words)
                if said and (kind, value) not in seen:
                    seen.add((kind, value))
                    yield Name(kind, column, value, value)

    def _values(self, rows_of: str, column: str) -> list[str]:
        table = kinds()[rows_of].table
        relation, params = self.reader.relation(table, self.when.start_ns, self.when.end_ns, [column])
        sql = Sql(f"SELECT DISTINCT {column} AS name FROM {relation} AS named WHERE {column} IS NOT NULL", params)  # noqa: S608 - our names
        return [str(row["name"]) for row in run(self.reader, sql)]


def _said(name: str, words: Iterable[str]) -> bool:
    """Whether one of the words of a question is this name."""
    return any(
        word.lower()[:_COMM_LENGTH] == name.lower()[:_COMM_LENGTH]
        and (len(word) >= _LEAST_WORD and word.lower() not in _COMMON)
        for word in words
    )


# --- the ways to answer ----------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class _Registered:
    order: int
    pattern: re.Pattern[str]
    way: Way
    example: str


_REGISTRY: list[_Registered] = []


def way(pattern: str, *, order: int, example: str) -> Callable[[Way], Way]:
    """Register a way to answer the questions that match a pattern; of several the one of the lowest order answers."""

    def declare(function: Way) -> Way:
        _REGISTRY.append(_Registered(order, re.compile(pattern, re.IGNORECASE), function, example))
        _REGISTRY.sort(key=lambda one: one.order)
        return function

    return declare


def way_of(text: str) -> Way | None:
    """How to answer a question; None where there is no way."""
    return next((one.way for one in _REGISTRY if one.pattern.search(text)), None)


def examples() -> list[str]:
    """A question of each kind that can be answered."""
    return [one.example for one in _REGISTRY]
