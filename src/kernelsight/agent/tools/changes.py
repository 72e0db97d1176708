"""What changed on the machine."""

from __future__ import annotations

from kernelsight.agent.sanitising import Data, moment
from kernelsight.agent.tool import Desk, tool
from kernelsight.agent.tools.diagnose import shown
from kernelsight.diagnosis.changed import changes as changed
from kernelsight.diagnosis.changed import not_watched
from kernelsight.diagnosis.model import Change

_MOST = 100


@tool
def changes(desk: Desk, since: str | None = None, until: str | None = None) -> Data:
    """List what changed on the machine, such as settings of the kernel, mounts, packages and programs that started.

    A change is no cause: say one as a candidate, and only where something shows how it leads to the fault.
    `not_known` says of which changes nothing is known. Each change lies between `not_before` and `at`.

    Args:
        since: where the time begins, in UTC; the window in question when not given. Begin a quarter of an hour before
            a fault.
        until: where it ends.
    """
    when = desk.range(since, until)
    found = changed(desk.source, when.start_ns, when.end_ns)
    return {
        "changes": [_shown(desk, change) for change in found.changes[-_MOST:]],
        "left_out": max(0, len(found.changes) - _MOST),
        "not_known": list(not_watched(found.watched, found.when)),
    }


def _shown(desk: Desk, change: Change) -> Data:
    return {
        "at": moment(change.at_ns),
        "not_before": None if change.after_ns is None else moment(change.after_ns),
        "subject": change.subject,
        "what": change.claim,
        "also_on_other_days_at_this_hour": change.other_days,
        "evidence": [shown(desk, evidence) for evidence in change.evidence],
    }
