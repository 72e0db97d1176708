"""What changed from one time to another."""

from __future__ import annotations

from typing import Annotated

from msgspec import Meta

from kernelsight import query
from kernelsight.agent.sanitising import Data
from kernelsight.agent.tool import Desk, tool
from kernelsight.query.presence import STEADY, last_row, why_nothing


@tool
def compare(
    desk: Desk,
    before_since: str,
    before_until: str,
    since: str | None = None,
    until: str | None = None,
    tables: tuple[str, ...] = (),
    limit: Annotated[int, Meta(ge=1, le=40)] = 15,
) -> Data:
    """Show which metrics of all tables changed most from one time range to another.

    Args:
        before_since: start of the time range to compare with, in UTC.
        before_until: end of that range.
        since: start of the range in question; default: the window in question.
        until: end of that range.
        tables: only these; default: all.
        limit: most metrics.
    """
    before, when = desk.range(before_since, before_until), desk.range(since, until)
    found = query.compare(
        desk.source,
        (before.start_ns, before.end_ns),
        (when.start_ns, when.end_ns),
        tables=tables or None,
        limit=limit,
    )
    told: Data = {"changed": [dict(change) for change in found]}
    for name, window in (("before", before), ("now", when)):
        if last_row(desk.source, STEADY, window) is None:
            told[f"not_known_{name}"] = why_nothing(desk.source)
    return told
