"""Why there are no rows: nobody recorded them, not at that time, or nothing of the kind happened."""

from __future__ import annotations

import time
from collections.abc import Iterable

from kernelsight.events.declare import Kind
from kernelsight.events.wire import kinds
from kernelsight.moments import to_second
from kernelsight.query.dialect import Sql, run
from kernelsight.query.rows import Row
from kernelsight.query.source import Source, clipped, extent, kind_named, opened
from kernelsight.query.times import TimeRange
from kernelsight.stores.base import Reader

NS_PER_S = 1_000_000_000
HOLE_NS = 5 * NS_PER_S
"""Without a row of a kind for longer than this, or three of its intervals, it is not recorded any more."""

STEADY = ("cpu", "memory", "load", "vmstat", "pressure", "network", "tcp", "tcp_retransmit", "process", "sched_process")
"""Kinds that have a row in each interval for as long as their collector runs, whatever happens."""


def why_no_rows(source: Source, table: str, when: TimeRange) -> str:
    """Why a question about a table and a time has no answer, in a sentence.

    Args:
        source: the store.
        table: name of the table or kind.
        when: the time that was asked about.

    Raises:
        UsageError: there is no such table.
        StoreError: the store cannot be read.
    """
    kind = kind_named(table)
    with opened(source) as reader:
        bounds = reader.bounds(kind.table) if reader.holds(kind.table) else None
        if bounds is not None and clipped(reader, kind.table, when) and _first(reader, kind, when) is not None:
            return f"{kind.table} has rows in that time, but none with such a value"
        ran = _ran(reader, kind, when)
        if ran is not None and ran["status"] == "running":
            return f"nothing was recorded in {kind.table} in that time, though its collector {ran['name']!s} ran"
        recorded = f"{kind.table} was never recorded here"
        if bounds is not None:
            recorded = f"{kind.table} was recorded only from {to_second(bounds[0])} to {to_second(bounds[1])}"
            if bounds[0] < when.start_ns and bounds[1] > when.end_ns:
                recorded = f"nothing was recorded in {kind.table} in that time, but before and after it"
        return f"{recorded}; {_source(kind, ran)}"


def why_nothing(source: Source) -> str:
    """What is recorded, where nothing of all that is sampled lies in a time."""
    with opened(source) as reader:
        ever = extent(reader, (kinds()[name].table for name in STEADY if reader.holds(kinds()[name].table)))
    if ever is None:
        return "nothing was ever recorded here; `kernelsight start` records"
    rows = f"events were recorded from {to_second(ever.start_ns)} to {to_second(ever.end_ns)}"
    return f"nothing was recorded in that time; {rows}"


def is_silent_after(last_ns: int, when: TimeRange) -> bool:
    """Whether the last row of a time leaves a part at its end, up to now, of which nothing is known."""
    return last_ns < min(when.end_ns, time.time_ns()) - HOLE_NS


def _source(kind: Kind, ran: Row | None) -> str:
    """Where rows of a kind come from, and why there are none."""
    if ran is not None:
        return f"its collector {ran['name']!s} did not run: {ran['reason'] or ran['status']!s}"
    from kernelsight.collectors.yielding import yielding  # noqa: PLC0415 - loads all collectors

    collectors = yielding((kind.name,))
    if not collectors:
        return f"its source is {kind.source}"
    return f"the collector {collectors[0]} yields it (`kernelsight collect --list` says whether it can run here)"


def _ran(reader: Reader, kind: Kind, when: TimeRange) -> Row | None:
    """The last report of the collector of a kind, up to the end of a time; None where there is none."""
    reports = kinds()["collector"]
    if not reader.holds(reports.table):
        return None
    relation, params = reader.relation(reports.table, max(when.start_ns - 30 * NS_PER_S, 0), when.end_ns)
    text = (
        f"SELECT name, status, reason FROM {relation} AS reports"
        " WHERE ',' || coalesce(kinds, name) || ',' LIKE ? ORDER BY timestamp DESC LIMIT 1"
    )
    latest = run(reader, Sql(text, (*params, f"%,{kind.name},%")))
    return latest[0] if latest else None


def _first(reader: Reader, kind: Kind, when: TimeRange) -> int | None:
    """The first stamp of a kind in a time."""
    relation, params = reader.relation(kind.table, when.start_ns, when.end_ns, ["timestamp"])
    [row] = run(reader, Sql(f"SELECT min(timestamp) AS first FROM {relation} AS stamps", params))
    return row["first"] if isinstance(row["first"], int) else None


def goes_on(reader: Reader, names: Iterable[str], after_ns: int) -> bool:
    """Whether one of some kinds of samples still has a row shortly after a moment."""
    for name in names:
        kind = kinds()[name]
        if not reader.holds(kind.table):
            continue
        patience_ns = max(HOLE_NS, round(3 * (kind.interval_s or 0) * NS_PER_S))
        if _first(reader, kind, TimeRange(after_ns + 1, after_ns + patience_ns)) is not None:
            return True
    return False


def recorded_since(source: Source, when: TimeRange) -> int | None:
    """Where the stretch begins that was recorded without a hole up to the end of a time; None where the end was not."""
    stamps: set[int] = set()
    with opened(source) as reader:
        for kind in (kinds()[name] for name in STEADY):
            if not reader.holds(kind.table):
                continue
            relation, params = reader.relation(kind.table, when.start_ns, when.end_ns, ["timestamp"])
            sql = Sql(f"SELECT DISTINCT timestamp FROM {relation} AS stamps", params)
            stamps.update(row["timestamp"] for row in run(reader, sql) if isinstance(row["timestamp"], int))
    begins = when.end_ns
    for stamp in sorted(stamps, reverse=True):
        if begins - stamp > HOLE_NS:
            break
        begins = stamp
    return begins if begins < when.end_ns else None


def last_row(source: Source, names: Iterable[str], when: TimeRange) -> int | None:
    """The last stamp of some kinds within a time; None where there is none."""
    latest: int | None = None
    with opened(source) as reader:
        for name in names:
            kind = kinds()[name]
            part = clipped(reader, kind.table, when) if reader.holds(kind.table) else None
            if part is None or (latest is not None and part.end_ns <= latest):
                continue
            relation, params = reader.relation(kind.table, part.start_ns, part.end_ns, ["timestamp"])
            sql = Sql(f"SELECT max(timestamp) AS last FROM {relation} AS stamps", params)
            last = run(reader, sql)[0]["last"]
            if isinstance(last, int) and (latest is None or last > latest):
                latest = last
    return latest
