"""The number that shows a claim."""

from __future__ import annotations

from kernelsight.agent.evidence import proof
from kernelsight.agent.sanitising import Data
from kernelsight.agent.tool import Desk, tool
from kernelsight.agent.tools.diagnose import shown
from kernelsight.diagnosis.model import How
from kernelsight.errors import UsageError


@tool
def prove(
    desk: Desk,
    table: str,
    metric: str,
    how: How,
    since: str | None = None,
    until: str | None = None,
    where: tuple[str, ...] = (),
) -> Data:
    """Get the number that shows a claim, and the `ref` by which to cite it. A claim without a `ref` is dropped.

    Args:
        table: name of the table.
        metric: one of its numeric columns, as stored (counters are not turned into rates).
        how: what becomes of its values in the rows; `increase` is what a counter grew by, `slope` is per second.
        since: where the time begins, in UTC; the window in question when not given.
        until: where it ends.
        where: conditions that pick the rows of one entity, such as pid=123 or device_name=vda.
    """
    evidence = proof(desk.source, table, metric, how, desk.range(since, until), where)
    if evidence is None:
        raise UsageError("no such row has a value")
    return shown(desk, evidence)
