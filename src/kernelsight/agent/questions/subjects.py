"""What questions are about: columns by the names that people have for them, as their declarations say."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cache
from typing import Any

from kernelsight.agent.questions.vocabulary import plain_phrase
from kernelsight.diagnosis.model import How
from kernelsight.events.declare import Column, Counter, Delta, Event, Kind, kind_of
from kernelsight.events.fields import Field, entity_of, field_named, name_of
from kernelsight.events.packet_drop import PacketDrop
from kernelsight.events.process import Process
from kernelsight.events.syscalls import Syscall, SyscallError
from kernelsight.events.wire import kinds, tables

_FULL_NAME = re.compile(r"\b([a-z_]+)\.([a-z0-9_]+)\b", re.ASCII)
_PID, _COMM = name_of(Process.pid), name_of(Process.comm)
_MORE_BY: Mapping[type[Event], tuple[Field[Any, Any], ...]] = {
    SyscallError: (SyscallError.error,),
    Syscall: (Syscall.syscall_name,),
    PacketDrop: (PacketDrop.reason, PacketDrop.interface_name),
}
"""What else tells apart what is compared, of kinds whose entity says it by number or not at all."""
_VAGUE = {
    "disk": 2, "io": 2, "device": 2, "storage": 2, "network": 2, "interface": 2, "process": 2, "task": 2, "mount": 2,
    "filesystem": 2, "thread": 1, "cpu": 1, "memory": 1, "connection": 1, "socket": 1, "error": 1, "processor": 1,
    "core": 1, "packet": 1,
}  # fmt: skip
"""Subjects that often only say where another one is looked at (`writes to disk`, `memory pressure`)."""
_LONGEST = 4


@dataclass(frozen=True, slots=True)
class Metric:
    """One metric that can answer a question."""

    field: Field[Any, float | None]
    by: tuple[Field[Any, Any], ...] = ()
    """Columns that tell apart what is compared; none where there is one a machine."""
    least: bool = False
    """What matters is how little there is."""
    rank: int = 1
    """Of several that fit equally, the lowest is meant."""

    @property
    def kind(self) -> Kind:
        """Of its rows."""
        return kind_of(self.field.__objclass__)

    @property
    def table(self) -> str:
        """Where they are."""
        return self.kind.table

    @property
    def column(self) -> str:
        """Its name."""
        return name_of(self.field)

    @property
    def is_of_processes(self) -> bool:
        """Whether processes are told apart."""
        return any(name_of(field) == _COMM for field in self.by)

    @property
    def declared(self) -> Column:
        """Its column."""
        return self.kind.by_name[self.column]

    @property
    def how(self) -> How:
        """What its values over a time amount to: an increase, a sum, the highest level or the lowest."""
        semantics = self.declared.semantics
        if self.least:
            return "min"
        return "increase" if isinstance(semantics, Counter) else "sum" if isinstance(semantics, Delta) else "max"

    @property
    def adds_up(self) -> bool:
        """Whether it counts something, rather than being a level."""
        return isinstance(self.declared.semantics, (Counter, Delta))


@dataclass(frozen=True, slots=True)
class Subject:
    """What a question is about."""

    name: str
    metrics: tuple[Metric, ...]


def metric_of(kind: Kind, column: Column) -> Metric:
    """A column as a metric, told apart by process where its rows name one."""
    by = entity_of(kind)
    if {_PID, _COMM} <= kind.by_name.keys() and _PID in kind.entity:
        by = (field_named(kind, _PID), field_named(kind, _COMM))
    more = tuple(field for field in _MORE_BY.get(kind.struct, ()) if field not in by)
    if kind.struct is PacketDrop:
        by = ()
    spoken_times = column.spoken
    return Metric(
        field_named(kind, column.name),
        (*by, *more),
        least=spoken_times.scarce if spoken_times else False,
        rank=spoken_times.rank if spoken_times else 1,
    )


@cache
def phrases() -> Mapping[tuple[str, ...], Subject]:
    """All names of columns, each with the metrics that are called so."""
    metrics_of: dict[tuple[str, ...], list[Metric]] = {}
    for kind in kinds().values():
        for column in kind.columns:
            for name in column.spoken.names if column.spoken else ():
                metrics = metrics_of.setdefault(plain_phrase(name), [])
                metric = metric_of(kind, column)
                if metric not in metrics:
                    metrics.append(metric)
    return {phrase: Subject(" ".join(phrase), tuple(metrics)) for phrase, metrics in metrics_of.items()}


def subjects_in(words: Sequence[str]) -> list[Subject]:
    """What words in their plain form are about, the most particular subject first."""
    known, subjects, place = phrases(), [], 0
    while place < len(words):
        for length in range(min(_LONGEST, len(words) - place), 0, -1):
            subject = known.get(tuple(words[place : place + length]))
            if subject is not None:
                subjects.append(subject)
                place += length
                break
        else:
            place += 1
    return sorted(subjects, key=lambda subject: _VAGUE.get(subject.name, 0))


def is_particular(subject: Subject) -> bool:
    """Whether it is a subject by itself, rather than where another one is looked at."""
    return _VAGUE.get(subject.name, 0) < 2


def by_full_name(text: str) -> Subject | None:
    """The metric that a question names by table and column, `process_stats.rss_kb`."""
    for table, name in _FULL_NAME.findall(text):
        kind = tables().get(table) or kinds().get(table)
        column = kind.by_name.get(name) if kind else None
        if kind and column is not None and column.type in {"INTEGER", "REAL"}:
            return Subject(f"{kind.table}.{name}", (metric_of(kind, column),))
    return None
