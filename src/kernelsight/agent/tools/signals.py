"""Named symptoms."""

from __future__ import annotations

from kernelsight.agent.sanitising import Data, moment, row_as_data
from kernelsight.agent.tool import Desk, tool
from kernelsight.events.fields import getter, name_of
from kernelsight.events.signal import Signal
from kernelsight.query.presence import is_silent_after, why_nothing
from kernelsight.signals.listed import listed
from kernelsight.signals.state import JudgedSignal, episodes, last_recorded

_SHOWN = (
    Signal.timestamp, Signal.rule, Signal.severity, Signal.entity, Signal.summary, Signal.count, Signal.table_name,
    Signal.metric, Signal.value, Signal.threshold,
)  # fmt: skip


@tool
def signals(desk: Desk, since: str | None = None, until: str | None = None) -> Data:
    """List named symptoms, such as memory that runs out or a queue that overflows, with the worst value of each.

    A symptom is no cause. Cite its table and metric by `prove`.

    Args:
        since: where the time begins, in UTC; the window in question when not given.
        until: where it ends.
    """
    when = desk.range(since, until)
    judged = list(listed(desk.source, when))
    told: Data = {"signals": [_shown(signal) for signal in episodes(desk.source, judged, when)]}
    last_ns = last_recorded(desk.source, when)
    if last_ns is None:
        told["not_known"] = why_nothing(desk.source)
    elif is_silent_after(last_ns, when):
        told["not_known"] = f"nothing was recorded after {moment(last_ns)}"
    return told


def _shown(signal: JudgedSignal) -> Data:
    ended = moment(signal.signal.end_ns or signal.signal.last_seen_ns or signal.signal.timestamp)
    ends = {"goes on": "goes on", "over": ended, "not known": f"last seen {ended}; nothing recorded since"}
    return {
        **row_as_data({name_of(field): getter(field)(signal.signal) for field in _SHOWN}),
        "end": ends[signal.state],
    }
