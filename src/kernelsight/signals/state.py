"""Whether an episode goes on, is over, or was last seen when recording stopped."""

from __future__ import annotations

import time
from collections.abc import Iterable, Iterator
from typing import Literal, NamedTuple

from kernelsight.events.signal import Signal
from kernelsight.events.wire import kinds, tables
from kernelsight.query.presence import HOLE_NS, STEADY, goes_on, last_row
from kernelsight.query.source import Source, opened
from kernelsight.query.times import TimeRange
from kernelsight.signals.registry import rules

State = Literal["goes on", "over", "not known"]
"""Not known: nothing was recorded after it was last seen, which says nothing about the symptom."""


class JudgedSignal(NamedTuple):
    """A signal, and what is known of its end."""

    signal: Signal
    state: State


def episodes(source: Source, signals: Iterable[Signal], when: TimeRange) -> Iterator[JudgedSignal]:
    """Signals with their states at the end of a range, or now where that is earlier."""
    with opened(source) as reader:
        until_ns = min(when.end_ns, time.time_ns())
        recorded: dict[tuple[str, ...], dict[int, bool]] = {}
        for signal in signals:
            seen_ns = signal.last_seen_ns or signal.timestamp
            kind = tables().get(signal.table_name or "")
            names = (kind.name,) if kind is not None and kind.name in STEADY else STEADY
            known = recorded.setdefault(names, {})
            if seen_ns >= until_ns - HOLE_NS:
                known[seen_ns] = True
            elif seen_ns not in known:
                known[seen_ns] = goes_on(reader, names, seen_ns)
            if not known[seen_ns]:
                yield JudgedSignal(signal, "not known")
            else:
                yield JudgedSignal(signal, "goes on" if signal.end_ns is None else "over")


def last_recorded(source: Source, when: TimeRange) -> int | None:
    """When anything that rules look at was recorded last within a range; None where nothing was."""
    names = {rule.kind.name for rule in rules().values()} & kinds().keys()
    return last_row(source, sorted(names), when)
