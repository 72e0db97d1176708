"""The most of something: the greatest rows, or the greatest groups of rows."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import replace
from typing import Any, Generic, Literal, TypeVar

from kernelsight.errors import UsageError
from kernelsight.events.declare import INT64_MAX, Event, Kind, kind_of
from kernelsight.events.fields import Field, Metric, name_of
from kernelsight.query.dialect import Sql, run
from kernelsight.query.filters import Condition, Filter, Where, conditions
from kernelsight.query.planner import explainable, scan
from kernelsight.query.points import Selection, adds_up, is_level, metric_named, points_sql, require_addable
from kernelsight.query.rows import Row, decoded, rows_of
from kernelsight.query.source import Source, clipped, columns_named, kind_named, opened
from kernelsight.query.times import Time, TimeRange, time_range
from kernelsight.stores.base import Reader

E = TypeVar("E", bound=Event)
V = TypeVar("V")
Function = Literal["max", "avg", "sum", "count"]
FUNCTIONS: Sequence[Function] = ("max", "avg", "sum", "count")


@explainable
def top(  # noqa: PLR0913 - a question has as many parts, all but the first four by keyword
    source: Source,
    table: str,
    metric: str,
    start: Time,
    end: Time = "now",
    *,
    by: Iterable[str] | str = (),
    n: int = 10,
    function: Function | None = None,
    where: Where = (),
    explain: bool = False,  # noqa: ARG001 - of the decorator
) -> list[Row]:
    """The ``n`` rows, or groups of rows, with the most of a metric.

    Args:
        source: the store.
        table: name of a table or kind.
        metric: one of its numeric columns.
        start: first moment.
        end: last moment.
        by: columns of a group, such as ``("pid", "comm")``; none asks for rows.
        n: how many.
        function: what orders the groups: ``max``, ``avg``, ``sum`` or ``count``. By default ``sum`` for
            counters (their increases) and per-interval sums, ``max`` for levels.
        where: conditions on rows.
        explain: give how the question was answered instead, see :func:`kernelsight.query.planner.explain`.

    Returns:
        without ``by`` whole rows, greatest first; with it one dict a group: its columns, ``value`` (by
        which they are ordered), ``count``, ``sum`` (of what adds up), ``avg``, ``max``. For a counter ``sum`` is
        its increase, ``avg`` and ``max`` are rates a second, and ``count`` is the number of rates.
    """
    kind = kind_named(table)
    metric_named(kind, metric)
    groups = columns_named(kind, by)
    if function is not None and function not in FUNCTIONS:
        raise UsageError(f"no function {function!r}; there are {', '.join(FUNCTIONS)}")
    if function == "sum":
        require_addable(kind, metric)
    when = time_range(start, end)
    if not 0 <= n <= INT64_MAX:
        raise UsageError(f"the top {n}: give 0 or more")
    with opened(source) as reader:
        if not groups:
            known = (*conditions(where), Condition(metric, "!=", None))
            return scan(
                reader,
                [(kind.table, when)],
                lambda using: rows_of(using, kind, when, where=known, order_by=metric, descending=True, limit=n),
                lookup=any(index[0] == metric for index in kind.indexes),
            )
        chosen = function or default_function(kind, metric)
        rows = _groups(reader, Selection(kind, (metric,), when, tuple(conditions(where)), keep=groups), chosen, n)
    sums = adds_up(kind, metric)
    return [_with_value(row, groups, chosen, sums=sums) for row in rows]


class Group(Generic[E]):
    """Rows that are alike in some columns, and what a metric of them amounts to."""

    __slots__ = ("_values", "value")

    def __init__(self, values: Row, value: float) -> None:
        self._values = values
        self.value = value
        """By which groups are ordered."""

    def of(self, column: Field[E, V]) -> V:
        """The value of one of the columns in which they are alike."""
        value: Any = self._values[name_of(column)]
        return value  # type: ignore[no-any-return] # as it is stored


def leading(  # noqa: PLR0913 - a question has as many parts
    reader: Reader,
    struct: type[E],
    metric: Metric[E],
    by: Sequence[Field[E, Any]],
    when: TimeRange,
    *,
    n: int,
    where: Iterable[Filter[E]] = (),
) -> list[Group[E]]:
    """As :func:`top`, of columns that are named by their declaration: the groups with the most of a metric."""
    kind, name = kind_of(struct), name_of(metric)
    chosen = default_function(kind, name)
    selection = Selection(kind, (name,), when, tuple(where), keep=tuple(map(name_of, by)))
    rows = _groups(reader, selection, chosen, n)
    return [Group(row, value) for row in rows if isinstance(value := row[chosen], (int, float))]


def _groups(reader: Reader, selection: Selection, chosen: Function, n: int) -> list[Row]:
    kind = selection.kind
    part = clipped(reader, kind.table, selection.when)
    if part is None:
        return []
    return scan(reader, [(kind.table, part)], lambda using: _groups_of(using, replace(selection, when=part), chosen, n))


def _groups_of(reader: Reader, selection: Selection, chosen: Function, n: int) -> list[Row]:
    kind, [metric] = selection.kind, selection.metrics
    points = points_sql(reader, selection)
    summed = f"{metric}__increase" if selection.counters else metric
    head = ", ".join(selection.keep)
    text = (
        f"SELECT {head}, COUNT({metric}) AS count, SUM({summed}) AS sum, AVG({metric}) AS avg, MAX({metric}) AS max"
        f" FROM ({points.text}) AS points WHERE {metric} IS NOT NULL GROUP BY {head}"
        f" ORDER BY {chosen} DESC, {head} LIMIT ?"
    )
    return [decoded(kind, row) for row in run(reader, Sql(text, (*points.params, n)))]


def default_function(kind: Kind, metric: str) -> Function:
    """What orders groups where nobody says: the sum of what adds up, the maximum of what is a level."""
    return "max" if is_level(kind.by_name[metric]) else "sum"


def _with_value(row: Row, groups: Sequence[str], function: Function, *, sums: bool) -> Row:
    if not sums:
        del row["sum"]
    return {name: row[name] for name in groups} | {"value": row[function]} | row
