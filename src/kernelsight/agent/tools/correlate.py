"""How two metrics move together."""

from __future__ import annotations

from kernelsight import query
from kernelsight.agent.sanitising import Data, row_as_data
from kernelsight.agent.tool import Desk, tool


@tool
def correlate(
    desk: Desk,
    a: str,
    b: str,
    since: str | None = None,
    until: str | None = None,
    tolerance: str = "1s",
    by: tuple[str, ...] = (),
    where_a: tuple[str, ...] = (),
    where_b: tuple[str, ...] = (),
) -> Data:
    """Show how two metrics move together: Pearson's r over points that are near in time. It proves no cause.

    Args:
        a: table and metric, such as syscall_events.latency_ns.
        b: table and metric; where the table has several entities, pick one by where_b.
        since: where the time begins, in UTC; the window in question when not given.
        until: where it ends.
        tolerance: how far apart two points may be.
        by: columns of a's table; one answer for each value.
        where_a: conditions on rows of a.
        where_b: conditions on rows of b.
    """
    when = desk.range(since, until)
    correlations = query.correlate(
        desk.source,
        a,
        b,
        when.start_ns,
        when.end_ns,
        tolerance=tolerance,
        by=by,
        where_a=where_a,
        where_b=where_b,
    )
    return {"groups": [row_as_data(row) for row in correlations]}
