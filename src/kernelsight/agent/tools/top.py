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
    """Show the rows with the most of a metric, or groups of rows such as processes (by pid and comm).

    Args:
        table: name of the table.
        metric: one of its numeric columns; of a counter, `sum` is its increase, `avg` and `max` are rates a second.
        since: start of the range, in UTC; default: the window in question.
        until: end of the range.
        by: columns of a group; default: single rows.
        function: order of the groups; default: the sum of a counter, the maximum of a level.
        where: conditions such as comm=postgres.
        limit: most rows.
    """
    when = desk.range(since, until)
    found = query.top(
        desk.source, table, metric, when.start_ns, when.end_ns, by=by, n=limit, function=function, where=where
    )
    told: Data = {"top": [row_as_data(row) for row in found]}
    return told if found else with_reason(told, desk, table, when)
