"""What was unusual."""

from __future__ import annotations

from kernelsight.agent.sanitising import Data, row_as_data
from kernelsight.agent.tool import Desk, tool
from kernelsight.anomalies.stored import incidents, silence, stored
from kernelsight.query.presence import STEADY, last_row, why_nothing


@tool
def anomalies(desk: Desk, since: str | None = None, until: str | None = None) -> Data:
    """List stored incidents: groups of series that left their learned baselines at the same time.

    Args:
        since: where the time begins, in UTC; the window in question when not given.
        until: where it ends.
    """
    when = desk.range(since, until)
    listed = incidents(stored(desk.source, when.start_ns, when.end_ns), silence(desk.source, when))
    told: Data = {"incidents": [row_as_data(row) for row in listed]}
    if last_row(desk.source, STEADY, when) is None:
        told["not_known"] = why_nothing(desk.source)
    return told
