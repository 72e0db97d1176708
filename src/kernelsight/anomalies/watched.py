"""Which series are watched: every measurement that the declarations say is sampled, of the most active entities."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from itertools import chain
from operator import itemgetter

from kernelsight.anomalies.settings import MOST_SERIES
from kernelsight.events.anomaly import Anomaly
from kernelsight.events.collector import CollectorReport
from kernelsight.events.declare import Column, Kind, Label
from kernelsight.events.fields import name_of
from kernelsight.events.wire import kinds, tables
from kernelsight.query.compare import least_that_matters
from kernelsight.query.dialect import run
from kernelsight.query.points import Selection, points_sql, unit_of
from kernelsight.query.rows import Row, entity_text
from kernelsight.query.source import clipped
from kernelsight.query.times import TimeRange
from kernelsight.stores.base import Reader, Value

MOST_ENTITIES = 16
"""Of one kind: a machine with a thousand processes has other series, too."""
_PIECE_NS = 600_000_000_000
_OUR_OWN = frozenset({Anomaly, CollectorReport})

Key = tuple[Value, ...]
"""Values of the columns that make an entity."""


@dataclass(frozen=True, slots=True)
class Name:
    """One series."""

    table: str
    metric: str
    entity: str | None
    unit: str
    least: float
    """A change smaller than this is of no interest to anybody, in the unit of the series."""

    def __str__(self) -> str:
        return f"{self.table}.{self.metric}" + (f" {self.entity}" if self.entity else "")


@dataclass(frozen=True, slots=True)
class Watched:
    """The series of some kinds, each with its row in the detector's state."""

    names: tuple[Name, ...]
    rows: Mapping[str, Mapping[Key, Mapping[str, int]]]
    """Table → entity → metric → row."""

    def kinds(self) -> Iterator[Kind]:
        """Those that have a series."""
        return (kind for kind in kinds().values() if kind.table in self.rows)


def sampled(kind: Kind) -> bool:
    """Whether a kind is sampled regularly, and says something of the machine."""
    return kind.interval_s is not None and kind.struct not in _OUR_OWN and bool(measurements(kind))


def measurements(kind: Kind) -> list[Column]:
    """The columns that are series: gauges, counters (as rates) and sums over intervals."""
    return [
        column
        for column in kind.columns
        if column.type in {"INTEGER", "REAL"} and not isinstance(column.semantics, Label)
    ]


def watch(reader: Reader, when: TimeRange, most: int = MOST_SERIES) -> Watched:
    """Choose the series of a range: those that change, of the entities that have most rows.

    Kinds with few entities come first, so that a crowd of processes takes what is left and not the machine's own.
    """
    counted: dict[str, dict[Key, Counter[str]]] = {}
    for kind in filter(sampled, kinds().values()):
        if changes := _changing(reader, kind, when):
            counted[kind.table] = changes
    rows: dict[str, dict[Key, dict[str, int]]] = {}
    names: list[Name] = []
    for table in sorted(counted, key=lambda name: (len(counted[name]), name)):
        kind = tables()[table]
        selection = Selection(kind, tuple(column.name for column in measurements(kind)), when)
        for entity, metrics in _most_active(counted[table]):
            for metric in metrics:
                if len(names) == most:
                    return Watched(tuple(names), rows)
                unit = unit_of(selection, metric)
                rows.setdefault(table, {}).setdefault(entity, {})[metric] = len(names)
                names.append(
                    Name(table, metric, entity_text(kind, kind.entity, entity), unit, least_that_matters(unit))
                )
    return Watched(tuple(names), rows)


def points(reader: Reader, kind: Kind, when: TimeRange, metrics: Iterable[str]) -> list[tuple[int, Row]]:
    """Measurements of a kind in a range, counters as rates, each with its stamp; ordered by time."""
    part = clipped(reader, kind.table, when)
    if part is None:
        return []
    stamp = name_of(kind.struct.timestamp)
    rows = run(reader, points_sql(reader, Selection(kind, tuple(metrics), part)))
    return sorted([(at, row) for row in rows if isinstance(at := row[stamp], int)], key=itemgetter(0))


def present(reader: Reader, when: TimeRange) -> TimeRange | None:
    """The part of a range in which anything that can be watched is stored; None where nothing is."""
    parts = [part for kind in kinds().values() if sampled(kind) and (part := clipped(reader, kind.table, when))]
    if not parts:
        return None
    return TimeRange(min(part.start_ns for part in parts), max(part.end_ns for part in parts))


def pieces(when: TimeRange) -> Iterator[TimeRange]:
    """A range in pieces whose points fit into memory."""
    for start in range(when.start_ns, when.end_ns + 1, _PIECE_NS):
        yield TimeRange(start, min(start + _PIECE_NS - 1, when.end_ns))


def _changing(reader: Reader, kind: Kind, when: TimeRange) -> dict[Key, Counter[str]]:
    """How often each measurement of each entity changed; those that never did are left out."""
    last: dict[tuple[Key, str], Value] = {}
    changes: dict[Key, Counter[str]] = {}
    names = [column.name for column in measurements(kind)]
    for _, row in chain.from_iterable(points(reader, kind, piece, names) for piece in pieces(when)):
        entity = tuple(row[name] for name in kind.entity)
        for name in names:
            value = row[name]
            if value is None:
                continue
            if last.setdefault((entity, name), value) != value:
                changes.setdefault(entity, Counter())[name] += 1
                last[entity, name] = value
    return changes


def _most_active(entities: Mapping[Key, Counter[str]]) -> Iterable[tuple[Key, list[str]]]:
    """The entities that changed most, with their measurements in a fixed order."""
    order = sorted(entities, key=lambda entity: (-entities[entity].total(), str(entity)))
    return [(entity, sorted(entities[entity])) for entity in order[:MOST_ENTITIES]]
