"""Rows as they are."""

from __future__ import annotations

from typing import Annotated

from msgspec import Meta

from kernelsight.agent.sanitising import Data, row_as_data
from kernelsight.agent.tool import Desk, tool, with_reason
from kernelsight.query.rows import rows_of
from kernelsight.query.source import kind_named, opened


@tool
def rows(
    desk: Desk,
    table: str,
    since: str | None = None,
    until: str | None = None,
    where: tuple[str, ...] = (),
    columns: tuple[str, ...] = (),
    order_by: str = "timestamp",
    descending: bool = False,  # noqa: FBT001, FBT002 - arguments come by name
    limit: Annotated[int, Meta(ge=1, le=50)] = 20,
) -> Data:
    """Show rows of a table.

    Args:
        table: its name.
        since: where the time begins, in UTC (2026-11-23 14:00:05Z); the window in question when not given.
        until: where it ends.
        where: conditions such as comm=postgres, latency_ns>=10ms, comm like kworker%.
        columns: only these; all when not given.
        order_by: a column.
        descending: greatest first.
        limit: at most so many.
    """
    when, kind = desk.range(since, until), kind_named(table)
    with opened(desk.source) as reader:
        stored = rows_of(
            reader,
            kind,
            when,
            where=where,
            columns=columns or None,
            order_by=order_by,
            descending=descending,
            limit=limit,
        )
    told: Data = {"rows": [row_as_data(row) for row in stored]}
    return told if stored else with_reason(told, desk, table, when)
