"""Named symptoms."""

from __future__ import annotations

import msgspec

from kernelsight.agent.boundary import Data, moment, row_as_data
from kernelsight.agent.tool import Desk, tool
from kernelsight.events.signal import Signal
from kernelsight.signals.listed import listed

_SHOWN = ("timestamp", "rule", "severity", "entity", "summary", "count", "table_name", "metric", "value", "threshold")


@tool
def signals(desk: Desk, since: str | None = None, until: str | None = None) -> Data:
    """List named symptoms, such as memory that runs out or a queue that overflows, with the worst value of each.

    A symptom is no cause. Cite its table and metric by `prove`.

    Args:
        since: where the time begins, in UTC; the window in question when not given.
        until: where it ends.
    """
    return {"signals": [_shown(one) for one in listed(desk.source, desk.range(since, until))]}


def _shown(one: Signal) -> Data:
    row = msgspec.structs.asdict(one)
    over = "goes on" if one.end_ns is None else moment(one.end_ns)
    return {**row_as_data({name: row[name] for name in _SHOWN}), "end": over}
