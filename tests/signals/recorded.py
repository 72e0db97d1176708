"""Recorded cases of the fault bench as streams of events, and stores that they come into bit by bit."""

from __future__ import annotations

from collections.abc import Iterable

import msgspec
from benchmarks.faultbench.recording import about, cases, read

from kernelsight.events.declare import Event
from kernelsight.events.wire import decoder
from kernelsight.query.source import extent
from kernelsight.signals.registry import rules
from kernelsight.signals.run import classify, stored_signals
from kernelsight.stores.base import Batch, Writer, open_reader

SECOND = 1_000_000_000


def events_of(case: str) -> list[Event]:
    """What the collectors said, in the order of their stamps."""
    return sorted(decoder().decode_lines(read(cases([case])[0])), key=lambda event: event.timestamp)


def truth_of(case: str) -> dict:
    return about(cases([case])[0])


def put(writer: Writer, events: Iterable[Event]) -> None:
    """One batch."""
    batch = Batch()
    for one in events:
        batch.events.setdefault(type(one), []).append(msgspec.structs.astuple(one))
    assert not writer.write(batch)


def tables():
    return sorted({rule.kind.table for rule in rules().values()})


def seconds_of(reader):
    """The range of whole seconds that a store has rows in."""
    whole = extent(reader, tables())
    return whole.start_ns // SECOND * SECOND, whole.end_ns // SECOND * SECOND + SECOND


def found_at_once(path):
    """The signals of all that a store holds, from its events alone."""
    reader = open_reader(str(path))
    try:
        return classify(reader, rules(), *seconds_of(reader))
    finally:
        reader.close()


def kept(path):
    """The signals that are stored."""
    reader = open_reader(str(path))
    try:
        found = stored_signals(reader, 0, 2**63 - 1)
        return sorted(found, key=lambda one: (one.timestamp, one.rule, one.entity or ""))
    finally:
        reader.close()


def minutes(path):
    """The coincidences that are stored, without their ids."""
    reader = open_reader(str(path))
    try:
        found = reader.query("SELECT * FROM coincidences ORDER BY timestamp, what, name, comm")
        return [{name: value for name, value in row.items() if name != "id"} for row in found]
    finally:
        reader.close()
