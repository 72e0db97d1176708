"""Samples at the ends of equal steps: enough for the course of a metric over any length of time.

What a counter grew by between two samples does not depend on those between them. So the mean rate over a step comes
from two samples, and a chart of a week costs as many short look-ups as it has points. A level is known at the ends of
the steps alone. Where a step is no longer than the interval of the samples, all samples are read.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from typing import Any, TypeVar

from kernelsight.events.declare import Event, kind_of
from kernelsight.events.fields import Field, name_of
from kernelsight.query.filters import Filter, where_sql
from kernelsight.query.source import clipped
from kernelsight.query.times import TimeRange
from kernelsight.stores.base import Reader, Row

E = TypeVar("E", bound=Event)
_SECOND = 1_000_000_000
STEPS_NS = tuple(
    seconds * _SECOND
    for seconds in (1, 2, 5, 10, 20, 30, 60, 120, 300, 600, 1_200, 1_800, 3_600, 7_200, 21_600, 43_200, 86_400)
)
"""Lengths of steps: a day, and what divides it."""
_REACH = 1.5
"""Intervals after the end of a step within which a sample stands for it."""


def step_for(when: TimeRange, points: int) -> int:
    """The shortest step (ns) with which a range has at most so many points; the longest one where none is enough."""
    return next((step for step in STEPS_NS if step * points >= when.end_ns - when.start_ns), STEPS_NS[-1])


def readings(  # noqa: PLR0913 - a question has as many parts
    reader: Reader,
    struct: type[E],
    columns: Sequence[Field[E, Any]],
    when: TimeRange,
    step_ns: int,
    *,
    only: Iterable[Filter[E]] = (),
) -> list[Row]:
    """Rows about the ends of the steps of a range, by time; the ends are multiples of the step since the epoch.

    Args:
        reader: of the store.
        struct: the kind.
        columns: what is read besides the timestamp.
        when: the range, both ends included.
        step_ns: length of a step.
        only: conditions that all must hold.

    Returns:
        timestamp and columns of each row. About the end of a step there may be several rows of an entity.
    """
    kind = kind_of(struct)
    part = clipped(reader, kind.table, when)
    if part is None:
        return []
    names = [name_of(struct.timestamp), *map(name_of, columns)]
    tests = where_sql(reader.dialect, kind, only)
    conditions = dict.fromkeys((*names, *(test.column for test in only)))
    rows: list[Row] = []
    for stretch in _stretches(part, step_ns, (kind.interval_s or 1.0) * _SECOND):
        relation, params = reader.relation(kind.table, stretch.start_ns, stretch.end_ns, conditions)
        text = f"SELECT {', '.join(names)} FROM {relation} AS samples WHERE {tests.text}"
        rows += reader.tuples(text, (*params, *tests.params))
    rows.sort(key=lambda row: int(row[0] or 0))
    return rows


def _stretches(when: TimeRange, step_ns: int, interval_ns: float) -> Iterator[TimeRange]:
    """Where the rows are that are read: all of the range, or a little after the end of each step."""
    if step_ns <= interval_ns:
        yield when
        return
    reach_ns = min(int(interval_ns * _REACH), step_ns) - 1
    for end_ns in range(-(-when.start_ns // step_ns) * step_ns, when.end_ns + 1, step_ns):
        yield TimeRange(end_ns, min(end_ns + reach_ns, when.end_ns))
