"""One metric over time."""

from __future__ import annotations

from typing import Annotated

from msgspec import Meta

from kernelsight import query
from kernelsight.agent.sanitising import Data, moment
from kernelsight.agent.tool import Desk, tool, with_reason

_MOST_SERIES = 12


@tool
def series(
    desk: Desk,
    table: str,
    metric: str,
    since: str | None = None,
    until: str | None = None,
    where: tuple[str, ...] = (),
    points: Annotated[int, Meta(ge=2, le=60)] = 30,
) -> Data:
    """Show a metric over time, one series an entity, the extremes kept; counters are turned into rates a second.

    Args:
        table: name of the table.
        metric: one of its numeric columns.
        since: where the time begins, in UTC; the window in question when not given.
        until: where it ends.
        where: conditions such as device_name=vda or pid=123; narrow it to few entities.
        points: at most so many a series.
    """
    when = desk.range(since, until)
    all_series = query.series(desk.source, table, metric, when.start_ns, when.end_ns, where=where, points=points)
    shown = all_series[:_MOST_SERIES]
    told: Data = {
        "unit": all_series[0].unit if all_series else "",
        "series": [
            {"entity": dict(one_series.entity), "points": [[moment(at), value] for at, value in one_series.points]}
            for one_series in shown
        ],
        "entities_left_out": len(all_series) - len(shown),
    }
    return told if all_series else with_reason(told, desk, table, when)
