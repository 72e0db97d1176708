"""The newest row of every series: what a scrape tells."""

from __future__ import annotations

import heapq
from collections.abc import Iterator, Mapping
from dataclasses import dataclass

from kernelsight.events.declare import Event, Kind, kind_of
from kernelsight.events.fields import entity_of, row_getter
from kernelsight.events.scheduler import Cpu
from kernelsight.query.source import AHEAD_NS
from kernelsight.query.stored import stored_rows
from kernelsight.query.times import TimeRange
from kernelsight.stores.base import Reader
from kernelsight.surfaces.exports.families import Family

NS_PER_S = 1_000_000_000
FRESH_INTERVALS = 3.0
FRESH_LEAST_S = 5.0
MOST_SERIES = 500
"""Of one kind: what a scrape may hold is bounded, however many devices, groups or processes there are."""


_TOTALS = {kind_of(Cpu).name: -1}
"""Kinds with a row of all together, and what tells that row: it is the series without a label."""

Series = tuple[object, ...]
"""The values of the columns that tell the series of a kind apart; None: not known, or all of them."""


@dataclass(frozen=True, slots=True)
class Newest:
    """The newest rows of a kind."""

    kind: Kind
    rows: Mapping[Series, Event]
    """By the values of the columns that tell its series apart."""
    left_out: int
    """Series beyond the bound."""


def newest(reader: Reader, kind: Kind, now_ns: int, *, most: int = MOST_SERIES) -> Newest:
    """The newest row of each series of a kind, where it is recent: no older than three intervals, or 5 s.

    Args:
        reader: of the store.
        kind: a kind that is sampled.
        now_ns: the moment of the question (ns since the epoch).
        most: at most so many series; of more, those with most of what matters (as the kind declares).
    """
    fresh_s = max(FRESH_LEAST_S, FRESH_INTERVALS * (kind.interval_s or 0))
    when = TimeRange(now_ns - int(fresh_s * NS_PER_S), now_ns + AHEAD_NS)
    rows = stored_rows(reader, kind.struct, when)
    if not kind.entity:
        return Newest(kind, {(): rows[-1]} if rows else {}, 0)
    series = row_getter(*entity_of(kind))
    last = {_without_total(kind, series(row)): row for row in rows}
    if len(last) <= most:
        return Newest(kind, last, 0)
    return Newest(kind, dict(heapq.nlargest(most, last.items(), key=lambda item: _matters(item[1]))), len(last) - most)


def measured(rows: Newest, family: Family) -> Iterator[tuple[Series, float]]:
    """The series that have a value of a metric, each with the value in the metric's unit.

    A row of all together tells only what the others do not: who adds up series must not count twice.
    """
    values = {
        key: number * family.factor
        for key, row in rows.rows.items()
        if isinstance(number := getattr(row, family.column), int | float) and not isinstance(number, bool)
    }
    if len(values) > 1 and rows.kind.name in _TOTALS:
        values = {key: value for key, value in values.items() if any(part is not None for part in key)}
    yield from values.items()


def _without_total(kind: Kind, series: Series) -> Series:
    total = _TOTALS.get(kind.name)
    return tuple(None if part == total else part for part in series) if total is not None else series


def _matters(row: Event) -> tuple[float, ...]:
    values = (getattr(row, name) for name in kind_of(type(row)).matters)
    return tuple(value if isinstance(value, int | float) else 0.0 for value in values)
