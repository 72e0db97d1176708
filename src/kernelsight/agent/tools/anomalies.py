"""What was unusual."""

from __future__ import annotations

from kernelsight.agent.sanitising import Data, row_as_data
from kernelsight.agent.tool import Desk, tool
from kernelsight.anomalies.stored import incidents, silence, stored
from kernelsight.query.presence import STEADY, last_row, why_nothing


@tool
def anomalies(desk: Desk, since: str | None = None, until: str | None = None) -> Data:
    """List stored incidents. An incident is one or more series that left their usual range at the same time.

    Args:
        since: start of the range, in UTC; default: the window in question.
        until: end of the range.
    """
    when = desk.range(since, until)
    found = incidents(stored(desk.source, when.start_ns, when.end_ns), silence(desk.source, when))
    told: Data = {"incidents": [row_as_data(row) for row in found]}
    if last_row(desk.source, STEADY, when) is None:
        told["not_known"] = why_nothing(desk.source)
    return told
