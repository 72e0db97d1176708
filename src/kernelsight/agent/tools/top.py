"""Who has most of something."""

from __future__ import annotations

from typing import Annotated, Literal

from msgspec import Meta

from kernelsight import query
from kernelsight.agent.sanitising import Data, row_as_data
from kernelsight.agent.tool import Desk, tool, with_reason


@tool
def top(
    desk: Desk,
    table: str,
    metric: str,
    since: str | None = None,
    until: str | None = None,
    by: tuple[str, ...] = (),
    function: Literal["max", "avg", "sum", "count"] | None = None,
    where: tuple[str, ...] = (),
    limit: Annotated[int, Meta(ge=1, le=30)] = 10,
) -> Data:
    """Show what has most of a metric: rows, or groups of rows such as processes (by pid and comm).

    Args:
        table: name of the table.
        metric: one of its numeric columns; of a counter, `sum` is its increase, `avg` and `max` are rates a second.
        since: where the time begins, in UTC; the window in question when not given.
        until: where it ends.
        by: columns of a group; single rows when not given.
        function: what orders groups; the sum of what is counted, the maximum of a level when not given.
        where: conditions such as comm=postgres.
        limit: at most so many.
    """
    when = desk.range(since, until)
    groups = query.top(
        desk.source, table, metric, when.start_ns, when.end_ns, by=by, n=limit, function=function, where=where
    )
    told: Data = {"top": [row_as_data(row) for row in groups]}
    return told if groups else with_reason(told, desk, table, when)
