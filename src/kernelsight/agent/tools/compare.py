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
    """Show which metrics changed most from one time to another, whatever they are about.

    Args:
        before_since: where the time to compare with begins, in UTC.
        before_until: where that ends.
        since: where the time in question begins; the window in question when not given.
        until: where that ends.
        tables: only these; all when not given.
        limit: at most so many metrics.
    """
    before, when = desk.range(before_since, before_until), desk.range(since, until)
    differences = query.compare(
        desk.source,
        (before.start_ns, before.end_ns),
        (when.start_ns, when.end_ns),
        tables=tables or None,
        limit=limit,
    )
    told: Data = {"changed": [dict(change) for change in differences]}
    for name, window in (("before", before), ("now", when)):
        if last_row(desk.source, STEADY, window) is None:
            told[f"not_known_{name}"] = why_nothing(desk.source)
    return told
