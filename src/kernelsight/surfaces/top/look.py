"""One recorded second of a store: the rows of a kind that tell of it, and what their counters grew by."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any, Generic, TypeVar

from kernelsight.events.declare import Counter, Event, Gauge, kind_of
from kernelsight.events.deltas import growth
from kernelsight.events.fields import Field, entity_of, getter, name_of, row_getter
from kernelsight.query.stored import stored_rows
from kernelsight.query.times import TimeRange
from kernelsight.stores.base import Reader

NS_PER_S = 1_000_000_000
_REACH_NS = 2_600_000_000
"""A sample is of its second, and the one before it is a second older; both may be late by some hundred ms."""
_FRESH_NS = 1_600_000_000
"""What has no newer row was away, or has ended."""

E = TypeVar("E", bound=Event)
Number = int | float


@dataclass(frozen=True, slots=True)
class Sample(Generic[E]):
    """The last row of an entity, and the one before it where there is one."""

    row: E
    before: E | None

    @property
    def seconds(self) -> float:
        """Between the two."""
        return 0.0 if self.before is None else float(self.row.timestamp - self.before.timestamp) / NS_PER_S


class Look:
    """What is known of one second; each kind is read when it is first asked for."""

    def __init__(self, reader: Reader, at_ns: int) -> None:
        self.reader = reader
        self.at_ns = at_ns
        self._samples: dict[type[Event], list[Any]] = {}

    def samples(self, struct: type[E], columns: Sequence[Field[E, Any]]) -> list[Sample[E]]:
        """The entities of a kind, as they were in this second.

        Args:
            struct: the kind.
            columns: those that are wanted; the first reader of a kind in a look decides.
        """
        known = self._samples.get(struct)
        if known is None:
            known = self._samples[struct] = self._read(struct, columns)
        return known

    def within(self, struct: type[E], seconds: float, columns: Sequence[Field[E, Any]] | None = None) -> list[E]:
        """The rows of a kind in some seconds up to this moment."""
        when = TimeRange(max(0, self.at_ns - round(seconds * NS_PER_S)), self.at_ns)
        return stored_rows(self.reader, struct, when, columns=columns)

    def _read(self, struct: type[E], columns: Sequence[Field[E, Any]]) -> list[Sample[E]]:
        when = TimeRange(max(0, self.at_ns - _REACH_NS), self.at_ns)
        entity = row_getter(*entity_of(kind_of(struct)))
        by_entity: dict[object, list[E]] = {}
        wanted = [*columns, *entity_of(kind_of(struct))]
        for row in stored_rows(self.reader, struct, when, columns=wanted):
            by_entity.setdefault(entity(row), []).append(row)
        return [
            Sample(rows[-1], rows[-2] if len(rows) > 1 else None)
            for rows in by_entity.values()
            if rows[-1].timestamp > self.at_ns - _FRESH_NS
        ]


def level(sample: Sample[E], field: Field[E, Any]) -> Any:
    """A value as it is."""
    return getter(field)(sample.row)


def rate(sample: Sample[E], *fields: Field[E, Any]) -> float | None:
    """What a counter, or several together, grew by in a second; of what is counted per interval, what was counted.

    None where it is not known, as at the first sample of an entity.
    """
    known = [one for one in (_rate(sample, field) for field in fields) if one is not None]
    return sum(known) if known else None


def _rate(sample: Sample[E], field: Field[E, Any]) -> float | None:
    value_of: Callable[[E], Any] = getter(field)
    semantics = kind_of(type(sample.row)).by_name[name_of(field)].semantics
    value = value_of(sample.row)
    if not isinstance(value, int | float):
        return None
    if not isinstance(semantics, Counter):
        return None if isinstance(semantics, Gauge) else float(value)
    before = None if sample.before is None else value_of(sample.before)
    if not isinstance(before, int | float) or sample.seconds <= 0:
        return None
    grown = growth(value, [before], semantics)
    return None if grown is None else grown.amount / sample.seconds
