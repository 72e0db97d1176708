"""Series: one metric of one entity over time, whole or reduced to so many points."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Literal, NamedTuple

from kernelsight.errors import UsageError
from kernelsight.moments import format_time
from kernelsight.query.dialect import Sql, run
from kernelsight.query.filters import Wanted, Where, conditions
from kernelsight.query.planner import scan
from kernelsight.query.points import Selection, metric_named, points_sql, unit_of
from kernelsight.query.rows import Row, decoded
from kernelsight.query.source import Source, clipped, kind_named, opened
from kernelsight.query.times import Duration, Time, parse_duration, time_range
from kernelsight.stores.base import Reader, Value


class Point(NamedTuple):
    """One value; None where it cannot be known, such as the rate at a counter's first sample."""

    timestamp: int
    value: float | None


@dataclass(frozen=True, slots=True)
class Series:
    """One metric of one entity, ordered by time."""

    table: str
    metric: str
    unit: str
    entity: Mapping[str, Value]
    """The columns that tell this series from the others of the table; empty where there is one a machine."""
    points: tuple[Point, ...]

    def rows(self) -> list[Row]:
        """The points as dicts: ``timestamp``, ``time``, ``value``."""
        return [{"timestamp": at, "time": format_time(at), "value": value} for at, value in self.points]


def series(  # noqa: PLR0913 - a question has as many parts, all but the first four by keyword
    source: Source,
    table: str,
    metric: str,
    start: Time,
    end: Time = "now",
    *,
    entity: Mapping[str, Wanted] | None = None,
    where: Where = (),
    points: int | None = None,
    raw: bool = False,
    max_gap: Duration | None = None,
) -> list[Series]:
    """One metric over time, one series for each entity; counters as rates a second.

    Args:
        source: the store.
        table: name of a table or kind.
        metric: one of its numeric columns.
        start: first moment.
        end: last moment.
        entity: columns and values of the entities wanted; all by default.
        where: further conditions on rows.
        points: at most so many a series: the least and the greatest of each of ``points / 2`` equal intervals,
            so that no peak is lost. Moments without a value are left out then.
        raw: counters as stored.
        max_gap: an entity that was away for longer starts anew (see :mod:`kernelsight.query.points`).

    Raises:
        UsageError: no such table, column or time, or fewer than two points.
    """
    kind = kind_named(table)
    metric_named(kind, metric)
    tests = (*conditions(entity or {}), *conditions(where))
    when = time_range(start, end)
    gap_ns = None if max_gap is None else parse_duration(max_gap)
    if points is not None and points < 2:
        raise UsageError(f"{points} points cannot hold a minimum and a maximum; ask for 2 or more")
    with opened(source) as reader:
        part = clipped(reader, kind.table, when)
        if part is None:
            return []
        selection = Selection(kind, (metric,), part, tests, raw=raw)
        rows = scan(reader, [(kind.table, part)], lambda using: _rows(using, selection, gap_ns, points))
    return _split(rows, selection, unit_of(selection, metric))


def _rows(reader: Reader, selection: Selection, gap_ns: int | None, points: int | None) -> list[Row]:
    sql = points_sql(reader, selection, gap_ns)
    if points is None:
        return _all(reader, sql, selection.metrics[0], ", ".join(selection.kind.entity))
    return _reduced(reader, sql, selection, points)


def _all(reader: Reader, sql: Sql, metric: str, labels: str) -> list[Row]:
    head = f"{labels}, " if labels else ""
    text = f"SELECT {head}timestamp, {metric} AS value FROM ({sql.text}) AS points ORDER BY {head}timestamp, value"
    return run(reader, Sql(text, sql.params))


def _reduced(reader: Reader, sql: Sql, selection: Selection, points: int) -> list[Row]:
    """The rows of the least and of the greatest value of each interval and entity."""
    dialect, metric, when = reader.dialect, selection.metrics[0], selection.when
    width = -(-when.length_ns // (points // 2))
    head = "".join(f"{name}, " for name in selection.kind.entity)
    bucket = dialect.int_div(f"timestamp - {when.start_ns}", str(width))
    extremes: dict[tuple[Value, ...], Row] = {}
    functions: tuple[Literal["min"], Literal["max"]] = ("min", "max")
    for function in functions:
        extreme = dialect.extreme(function, metric)
        text = (
            f"SELECT {head}{bucket} AS bucket, {extreme} FROM ({sql.text}) AS points"
            f" WHERE {metric} IS NOT NULL GROUP BY {head}bucket"
        )
        for row in run(reader, Sql(text, sql.params)):
            del row["bucket"]
            extremes[*(row[name] for name in selection.kind.entity), row["timestamp"]] = row
    return sorted(extremes.values(), key=lambda row: (_when(row), *(str(row[name]) for name in selection.kind.entity)))


def _when(row: Row) -> int:
    timestamp = row["timestamp"]
    assert isinstance(timestamp, int)
    return timestamp


def _split(rows: list[Row], selection: Selection, unit: str) -> list[Series]:
    kind, metric = selection.kind, selection.metrics[0]
    groups: dict[tuple[Value, ...], list[Point]] = {}
    for row in rows:
        value = row["value"]
        assert value is None or isinstance(value, (int, float))
        groups.setdefault(tuple(row[name] for name in kind.entity), []).append(Point(_when(row), value))
    return [
        Series(
            table=kind.table,
            metric=metric,
            unit=unit,
            entity=decoded(kind, dict(zip(kind.entity, key, strict=True))),
            points=tuple(points),
        )
        for key, points in groups.items()
    ]
