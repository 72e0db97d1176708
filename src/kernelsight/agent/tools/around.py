"""What happened near a moment."""

from __future__ import annotations

from typing import Annotated

from msgspec import Meta

from kernelsight import query
from kernelsight.agent.sanitising import Data, row_as_data
from kernelsight.agent.tool import Desk, tool


@tool
def around(
    desk: Desk,
    time: str,
    window: str = "5s",
    tables: tuple[str, ...] = (),
    limit: Annotated[int, Meta(ge=1, le=10)] = 3,
) -> Data:
    """Show everything that happened near a moment: the nearest and the longest rows of all tables, and what changed.

    Args:
        time: the moment, in UTC.
        window: how far to look to either side.
        tables: only these; all when not given.
        limit: at most so many rows of each table.
    """
    moment = desk.range(time, time).start_ns
    nearby = query.around(desk.source, moment, window, tables=tables or None, limit=limit)
    return {
        "changed": [dict(change) for change in nearby["changed"]],
        "tables": [
            {
                "table": near["table"],
                "rows": near["rows"],
                "nearest": [row_as_data(row) for row in near["nearest"]],
                "longest": [row_as_data(row) for row in near["largest"]],
            }
            for near in nearby["tables"]
        ],
    }
