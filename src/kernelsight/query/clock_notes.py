"""What there is to say about the clock of the machine in a range of time: whoever reads stamps should know it."""

from __future__ import annotations

from collections.abc import Iterable

import msgspec

from kernelsight.events.collector import CollectorReport
from kernelsight.events.declare import EARLIEST_EPOCH_NS, kind_of
from kernelsight.events.memory import Memory
from kernelsight.events.scheduler import Cpu, Load
from kernelsight.moments import to_second
from kernelsight.query.clock_steps import Step, clock_steps
from kernelsight.query.source import clipped
from kernelsight.query.times import TimeRange
from kernelsight.stores.base import Reader

_NS_PER_S = 1_000_000_000
_ALWAYS_THERE = (Memory, Cpu, Load, CollectorReport)
_UNITS = ((86_400, "d"), (3_600, "h"), (60, "min"), (1, "s"))
_EXACT_S = 60
"""Up to this, a duration is said in seconds with their tenths."""


class Note(msgspec.Struct, frozen=True):
    """Something that was with the clock at a moment."""

    timestamp: int
    text: str
    """A sentence without its full stop; the moment is not in it."""


def clock_notes(reader: Reader, when: TimeRange, steps: Iterable[Step] | None = None) -> tuple[Note, ...]:
    """What happened to the clock in a range: it was set, the machine was suspended, or it had never been set.

    Args:
        reader: the store.
        when: the range.
        steps: those of the range, where they are known already.
    """
    steps = clock_steps(reader, when) if steps is None else steps
    return (*_never_set(reader, when), *map(_note, steps))


def _never_set(reader: Reader, when: TimeRange) -> list[Note]:
    """The clock read a time before 2001, which is before any kernel that can be observed was built."""
    tables = [kind_of(struct).table for struct in _ALWAYS_THERE]
    parts = [part for table in tables if reader.holds(table) and (part := clipped(reader, table, when))]
    first_ns = min((part.start_ns for part in parts), default=EARLIEST_EPOCH_NS)
    if first_ns >= EARLIEST_EPOCH_NS:
        return []
    return [
        Note(first_ns, f"the machine's clock read {to_second(first_ns)}: nobody had set it, so its times are wrong")
    ]


def _note(step: Step) -> Note:
    told = []
    if step.suspended_ns:
        told.append(f"the machine was suspended for {spoken_duration(step.suspended_ns)}")
    if step.step_ns or not told:
        direction = "back" if step.step_ns < 0 else "ahead"
        told.append(f"the clock was set {direction} by {spoken_duration(abs(step.step_ns))}")
        if step.is_inferred and step.step_ns > 0:
            told[-1] += ", or the machine was suspended"
    if step.step_ns < 0:
        told[-1] += f": times from {to_second(step.at_ns)} to {to_second(step.left_ns)} occur twice"
    return Note(step.at_ns, "; ".join(told))


def spoken_duration(ns: int) -> str:
    """A duration as people say it: `5.3 s`, `12 min 5 s`, `3 h`; the two largest units."""
    if ns < _EXACT_S * _NS_PER_S:
        return f"{ns / _NS_PER_S:.1f} s"
    seconds, parts = round(ns / _NS_PER_S), []
    for size, unit in _UNITS:
        count, seconds = divmod(seconds, size)
        if count:
            parts.append(f"{count} {unit}")
        elif parts:
            break
        if len(parts) == 2:
            break
    return " ".join(parts)
