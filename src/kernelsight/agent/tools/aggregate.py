"""A metric summed up by intervals."""

from __future__ import annotations

from kernelsight import query
from kernelsight.agent.sanitising import Data, row_as_data
from kernelsight.agent.tool import Desk, tool, with_reason


@tool
def aggregate(
    desk: Desk,
    table: str,
    metric: str,
    interval: str,
    since: str | None = None,
    until: str | None = None,
    functions: tuple[str, ...] = ("count", "min", "avg", "max"),
    by: tuple[str, ...] = (),
    where: tuple[str, ...] = (),
) -> Data:
    """Show a metric summed up by intervals of time.

    Args:
        table: name of the table.
        metric: one of its numeric columns.
        interval: length of an interval, such as 10s or 1m.
        since: where the time begins, in UTC; the window in question when not given.
        until: where it ends.
        functions: of avg, min, max, sum, count, rate, and percentiles such as p95.
        by: columns to group by besides the interval.
        where: conditions such as comm=postgres.
    """
    when = desk.range(since, until)
    groups = query.aggregate(
        desk.source,
        table,
        metric,
        when.start_ns,
        when.end_ns,
        interval,
        functions=functions,
        by=by,
        where=where,
    )
    told: Data = {"intervals": [row_as_data(row) for row in groups]}
    return told if groups else with_reason(told, desk, table, when)
