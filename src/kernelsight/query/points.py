"""From stored columns to values that mean something: levels as they are, counters as rates.

The rate of a counter is what it grew by (:mod:`kernelsight.events.deltas`) divided by the time in which it did.
Samples follow each other in the order in which they arrived: setting the clock does not change it. There is no
rate (NULL)

* at an entity's first sample,
* where the counter is lower than before, until it is known how it goes on,
* where the clock did not go forward (where it is known that it was set ahead, the time is what passed),
* where the entity was away: the time since its last sample is longer than :data:`PATIENCE` of its usual
  intervals; what happened meanwhile is not known to be one count.

A process that has been away is the same process (its start time is part of who it is), so for it the last
does not hold.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Generic, TypeVar

from kernelsight.errors import UsageError
from kernelsight.events.declare import INT64_MAX, Column, Counter, Delta, Event, Kind, kind_of
from kernelsight.events.fields import Field, Metric, name_of
from kernelsight.query.dialect import Sql, run
from kernelsight.query.filters import Condition, Filter, where_sql
from kernelsight.query.source import column_named
from kernelsight.query.times import TimeRange
from kernelsight.stores.base import Reader, Value

E = TypeVar("E", bound=Event)
V = TypeVar("V")
PATIENCE = 5
"""An entity that has not been seen for more than this many intervals has been away."""

_SAMPLE = 2_000


@dataclass(frozen=True, slots=True)
class Selection:
    """Which points: metrics of one kind, in a range, of the rows that meet all conditions."""

    kind: Kind
    metrics: tuple[str, ...]
    when: TimeRange
    conditions: tuple[Condition, ...] = ()
    raw: bool = False
    """Counters as they are stored instead of as rates."""
    keep: tuple[str, ...] = ()
    """Columns wanted beside the entity's."""

    @property
    def counters(self) -> tuple[str, ...]:
        """The metrics that become rates."""
        return () if self.raw else tuple(name for name in self.metrics if is_counter(self.kind.by_name[name]))

    @property
    def labels(self) -> tuple[str, ...]:
        """The entity's columns and those kept beside them."""
        return tuple(dict.fromkeys((*self.kind.entity, *self.keep)))


def is_counter(column: Column) -> bool:
    """Whether people want a column's rate rather than its value."""
    return isinstance(column.semantics, Counter)


_ADDABLE = frozenset({"ns", "us", "ms", "s", "B", "KiB"})
"""Units of what adds up from event to event."""


def is_level(column: Column) -> bool:
    """Whether a column's values at different moments do not add up, as counters' increases and interval sums do."""
    return not isinstance(column.semantics, (Counter, Delta))


def metric_named(kind: Kind, name: str) -> Column:
    """A column that holds numbers.

    Raises:
        UsageError: there is no such column, or it names things.
    """
    column = column_named(kind, name)
    if column.type not in {"INTEGER", "REAL"} or name == "timestamp":
        raise UsageError(f"{kind.table}.{name} is not a number to calculate with")
    return column


def unit_of(selection: Selection, metric: str) -> str:
    """The unit of a metric's points."""
    unit = selection.kind.by_name[metric].unit
    return f"{unit}/s" if metric in selection.counters else unit


def unit_named(kind: Kind, metric: str) -> str:
    """The unit of a metric's values over time: of a counter, of its rate."""
    column = kind.by_name[metric]
    return f"{column.unit}/s" if isinstance(column.semantics, Counter) else column.unit


def adds_up(kind: Kind, metric: str) -> bool:
    """Whether a sum over time means anything: levels do not add up, durations and sizes of single events do."""
    column = kind.by_name[metric]
    return not is_level(column) or (kind.interval_s is None and column.unit in _ADDABLE)


def require_addable(kind: Kind, metric: str) -> None:
    """Refuse to add up levels.

    Raises:
        UsageError: the metric is a level; the message says what can be asked instead.
    """
    if not adds_up(kind, metric):
        raise UsageError(f"{kind.table}.{metric} is a level, and levels do not add up over time; ask for avg or max")


def points_sql(reader: Reader, selection: Selection, gap_ns: int | None = None) -> Sql:
    """SELECT the points: ``timestamp``, the labels, and each metric under its own name.

    A counter ``c`` comes with ``c__increase`` and ``c__ns``, the time in which it grew by that; both are
    NULL where there is no rate.
    """
    if not selection.counters:
        return _levels(reader, selection)
    when, kind = selection.when, selection.kind
    gap_ns = longest_gap_ns(reader, selection) if gap_ns is None else gap_ns
    entity_tests = [test for test in selection.conditions if test.column in kind.entity]
    other_tests = [test for test in selection.conditions if test.column not in kind.entity]
    lookback = when.start_ns - min(when.start_ns, gap_ns if gap_ns < INT64_MAX else _usual_gap_ns(kind))
    columns = _columns(selection, other_tests)
    relation, params = reader.relation(kind.table, lookback, when.end_ns, ("id", *columns))
    inside, outside = where_sql(reader.dialect, kind, entity_tests), where_sql(reader.dialect, kind, other_tests)
    samples = Sql(
        f"SELECT id, {', '.join(columns)} FROM {relation} AS stored WHERE {inside.text}", (*params, *inside.params)
    )
    from kernelsight.query.growth import with_growth  # noqa: PLC0415 - 4 ms, which `kernelsight query --help` needs not

    inner = with_growth(reader, kind, selection.counters, columns, samples, TimeRange(lookback, when.end_ns))
    chosen = [*_head(selection), *(part for name in selection.metrics for part in _value(selection, name))]
    text = f"SELECT {', '.join(chosen)} FROM ({inner.text}) AS pairs WHERE timestamp >= ? AND {outside.text}"
    gaps = (gap_ns,) * (3 * len(selection.counters))
    return Sql(text, (*gaps, *inner.params, when.start_ns, *outside.params))


class RowOfPoints(Generic[E]):
    """What is known of an entity at a moment."""

    __slots__ = ("_values", "timestamp")

    def __init__(self, timestamp: int, values: Mapping[str, Value]) -> None:
        self.timestamp = timestamp
        self._values = values

    def of(self, metric: Metric[E]) -> float | None:
        """A level, or the rate a second of a counter; None where it is not known."""
        value = self._values[name_of(metric)]
        return float(value) if isinstance(value, (int, float)) else None

    def label(self, column: Field[E, V]) -> V:
        """The value of a column that tells which entity it is."""
        value: Any = self._values[name_of(column)]
        return value  # type: ignore[no-any-return] # as it is stored


def points_of(  # noqa: PLR0913 - a question has as many parts
    reader: Reader,
    struct: type[E],
    metrics: Sequence[Metric[E]],
    when: TimeRange,
    *,
    only: Sequence[Filter[E]] = (),
    gap_ns: int | None = None,
) -> list[RowOfPoints[E]]:
    """The points of some metrics of a kind; the arguments as of :class:`Selection` and :func:`points_sql`."""
    kind = kind_of(struct)
    selection = Selection(kind, tuple(map(name_of, metrics)), when, tuple(only))
    rows = run(reader, points_sql(reader, selection, gap_ns))
    stamp = name_of(kind.struct.timestamp)
    return [RowOfPoints(at, row) for row in rows if isinstance(at := row[stamp], int)]


def longest_gap_ns(reader: Reader, selection: Selection) -> int:
    """How long an entity may be away and still be the same: :data:`PATIENCE` of its usual intervals.

    The usual interval is the median one among the first samples of the range, at least the declared one.
    """
    kind = selection.kind
    if "start_ticks" in kind.entity:
        return INT64_MAX
    entity_tests = [test for test in selection.conditions if test.column in kind.entity]
    test = where_sql(reader.dialect, kind, entity_tests)
    columns = ["timestamp", *kind.entity]
    relation, params = reader.relation(kind.table, selection.when.start_ns, selection.when.end_ns, columns)
    text = (
        f"SELECT {', '.join(columns)} FROM {relation} AS samples WHERE {test.text} ORDER BY timestamp LIMIT {_SAMPLE}"
    )
    last: dict[tuple[object, ...], int] = {}
    intervals: list[int] = []
    for timestamp, *entity in (tuple(row.values()) for row in run(reader, Sql(text, (*params, *test.params)))):
        assert isinstance(timestamp, int)
        if tuple(entity) in last:
            intervals.append(timestamp - last[tuple(entity)])
        last[tuple(entity)] = timestamp
    from statistics import median  # noqa: PLC0415 - 4 ms, as above

    return max(_usual_gap_ns(kind), int(PATIENCE * median(intervals)) if intervals else 0)


def _usual_gap_ns(kind: Kind) -> int:
    return int(PATIENCE * (kind.interval_s or 1.0) * 1e9)


def _levels(reader: Reader, selection: Selection) -> Sql:
    test = where_sql(reader.dialect, selection.kind, selection.conditions)
    columns = _columns(selection, selection.conditions)
    when = selection.when
    relation, params = reader.relation(selection.kind.table, when.start_ns, when.end_ns, columns)
    chosen = ", ".join([*_head(selection), *selection.metrics])
    return Sql(f"SELECT {chosen} FROM {relation} AS samples WHERE {test.text}", (*params, *test.params))


def _columns(selection: Selection, tests: Iterable[Condition]) -> Sequence[str]:
    names = ("timestamp", *selection.labels, *selection.metrics, *(test.column for test in tests))
    return list(dict.fromkeys(names))


def _head(selection: Selection) -> list[str]:
    return list(dict.fromkeys(["timestamp", *selection.labels]))


def _value(selection: Selection, name: str) -> list[str]:
    if name not in selection.counters:
        return [name]
    # qualified, because ClickHouse would take a bare name for the alias that is being defined
    valid = f"CASE WHEN {name}__elapsed > 0 AND {name}__elapsed <= ? THEN"
    return [
        f"{valid} {name}__grown * 1e9 / {name}__elapsed END AS {name}",
        f"{valid} {name}__grown END AS {name}__increase",
        f"{valid} {name}__elapsed END AS {name}__ns",
    ]
