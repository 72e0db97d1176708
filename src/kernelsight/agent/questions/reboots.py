"""The time before the machine restarted, as its counters since boot tell of it."""

from __future__ import annotations

import re
from dataclasses import dataclass
from itertools import pairwise

from kernelsight.events.declare import kind_of
from kernelsight.events.fields import row_getter
from kernelsight.events.scheduler import Cpu
from kernelsight.query.filters import Filter
from kernelsight.query.source import clipped
from kernelsight.query.stored import stored_rows
from kernelsight.query.times import TimeRange
from kernelsight.stores.base import Reader

_SAID = re.compile(
    r"\b(?:just\s+|right\s+)?before\s+(?:the\s+)?(?:last\s+|latest\s+)?(?:reboot|restart|boot)\b", re.IGNORECASE
)
_SINCE_BOOT = (Cpu.user, Cpu.idle, Cpu.context_switches)
_BEFORE_NS = 600 * 1_000_000_000
_DAY_NS = 86_400 * 1_000_000_000


@dataclass(frozen=True, slots=True)
class BeforeReboot:
    """A question about the time before the last restart of the machine."""

    rest: str
    """The question without that."""

    def range(self, reader: Reader) -> TimeRange | None:
        """The ten minutes before it; None where the rows of the last day tell of none."""
        kind = kind_of(Cpu)
        bounds = reader.bounds(kind.table) if reader.holds(kind.table) else None
        if bounds is None:
            return None
        whole = clipped(reader, kind.table, TimeRange(max(bounds[1] - _DAY_NS, 0), bounds[1]))
        if whole is None:
            return None
        rows = stored_rows(reader, Cpu, whole, where=[Filter(Cpu.cpu, "=", -1)], columns=_SINCE_BOOT)
        counted = row_getter(*_SINCE_BOOT)
        last = None
        for before, after in pairwise(rows):
            pairs = zip(counted(before), counted(after), strict=True)
            if all(isinstance(was, int) and isinstance(now, int) and now < was for was, now in pairs):
                last = before.timestamp
        return None if last is None else TimeRange(max(last - _BEFORE_NS, 0), last)


def before_reboot(text: str) -> BeforeReboot | None:
    """The question where it is one about that time."""
    match = _SAID.search(text)
    return None if match is None else BeforeReboot(text[: match.start()] + text[match.end() :])
