"""Everything that happened near one moment, across all tables, summarised and bounded."""

from __future__ import annotations

from collections.abc import Iterable
from typing import TypedDict

from kernelsight.errors import UsageError
from kernelsight.events.declare import INT64_MAX, Kind
from kernelsight.events.wire import kinds
from kernelsight.moments import format_time
from kernelsight.query.compare import MetricChange, changes
from kernelsight.query.dialect import Sql, run
from kernelsight.query.filters import Condition
from kernelsight.query.rows import Row, decoded, rows_of
from kernelsight.query.source import Source, clipped, kind_named, opened
from kernelsight.query.times import Duration, Time, TimeRange, parse_duration, parse_time
from kernelsight.stores.base import Reader

BEFORE = 10
"""What changed is told by comparison with a time this many times as long, right before the window."""


class Nearby(TypedDict):
    """What one table has near the moment."""

    table: str
    kind: str
    rows: int
    """All rows within the window; the lists below hold only some of them, without what is NULL."""
    nearest: list[Row]
    largest: list[Row]
    """Of what occurs by itself and has a latency: the longest."""


class Around(TypedDict):
    """The answer of :func:`around`."""

    timestamp: int
    time: str
    start_ns: int
    end_ns: int
    tables: list[Nearby]
    """Those that have rows there, most rows first."""
    changed: list[MetricChange]
    """As of :func:`kernelsight.query.compare.compare`: the window against the time before it."""


def around(
    source: Source,
    timestamp: Time,
    window: Duration = "5s",
    *,
    tables: Iterable[str] | None = None,
    limit: int = 5,
) -> Around:
    """What happened from ``window`` before a moment to ``window`` after it.

    Args:
        source: the store.
        timestamp: the moment.
        window: how far to look to either side.
        tables: names of the tables (or kinds) to look at; all by default.
        limit: at most so many rows of each list of a table, and four times as many changed metrics.
    """
    moment, reach = parse_time(timestamp), parse_duration(window)
    if limit < 0:
        raise UsageError(f"limit {limit}: give a number of rows, 0 or more")
    when = TimeRange(max(0, moment - reach), min(INT64_MAX, moment + reach))
    past = TimeRange(max(0, when.start_ns - BEFORE * when.length_ns), max(0, when.start_ns - 1))
    chosen = list(kinds().values()) if tables is None else [kind_named(table) for table in tables]
    with opened(source) as reader:
        nearby = [rows for kind in chosen if (rows := _nearby(reader, kind, moment, when, limit))]
        changed = [change for kind in chosen for change in changes(reader, kind, past, when)]
    nearby.sort(key=lambda table: -table["rows"])
    changed.sort(key=lambda change: -change["score"])
    return {
        "timestamp": moment,
        "time": format_time(moment),
        "start_ns": when.start_ns,
        "end_ns": when.end_ns,
        "tables": nearby,
        "changed": changed[: 4 * limit],
    }


def _nearby(reader: Reader, kind: Kind, moment: int, when: TimeRange, limit: int) -> Nearby | None:
    if clipped(reader, kind.table, when) is None:
        return None
    relation, params = reader.relation(kind.table, when.start_ns, when.end_ns, ["timestamp"])
    [counted] = run(reader, Sql(f"SELECT COUNT(*) AS within FROM {relation} AS counted", params))
    within = counted["within"]
    assert isinstance(within, int)
    if not within:
        return None
    largest: list[Row] = []
    if kind.interval_s is None and "latency_ns" in kind.by_name:
        known = [Condition("latency_ns", "!=", None)]
        largest = rows_of(reader, kind, when, where=known, order_by="latency_ns", descending=True, limit=limit)
    return {
        "table": kind.table,
        "kind": kind.name,
        "rows": within,
        "nearest": [_known(row) for row in _nearest(reader, kind, moment, when, limit)],
        "largest": [_known(row) for row in largest],
    }


def _nearest(reader: Reader, kind: Kind, moment: int, when: TimeRange, limit: int) -> list[Row]:
    relation, params = reader.relation(kind.table, when.start_ns, when.end_ns)
    text = f"SELECT * FROM {relation} AS near ORDER BY abs(timestamp - ?), timestamp LIMIT ?"
    rows = run(reader, Sql(text, (*params, moment, limit)))
    return [decoded(kind, row) for row in rows]


def _known(row: Row) -> Row:
    return {name: value for name, value in row.items() if value is not None}
