"""Small stores with known contents."""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path

import msgspec

from kernelsight.events.declare import Event
from kernelsight.stores.base import Batch, Reader, open_reader, open_writer

START = 1_790_000_000_000_000_000
"""2026-09-21 14:13:20 UTC."""
SECOND = 1_000_000_000


def fill(path: Path, events: Iterable[Event]) -> Path:
    """Write events to a store, in one batch."""
    writer = open_writer(str(path))
    try:
        assert not writer.write(_batch(events))
    finally:
        writer.close()
    return path


def _batch(events: Iterable[Event]) -> Batch:
    batch = Batch()
    for event in events:
        batch.events.setdefault(type(event), []).append(msgspec.structs.astuple(event))
    return batch


def reader_of(path: Path, events: Iterable[Event]) -> Reader:
    """A reader of a store with these events."""
    return open_reader(str(fill(path, events)))


class Stretches:
    """One store for many examples, each in a stretch of time of its own: to make a store takes the longest."""

    LENGTH = 1000 * SECOND

    def __init__(self, path: Path) -> None:
        self._writer = open_writer(str(path))
        self.reader = open_reader(str(path))
        self._start = START

    def next(self) -> tuple[int, int]:
        """Start and end of a stretch that no other example has."""
        self._start += 2 * self.LENGTH
        return self._start, self._start + self.LENGTH

    def add(self, events: Iterable[Event]) -> None:
        """Write more events."""
        assert not self._writer.write(_batch(events))

    def close(self) -> None:
        """Close the store."""
        self.reader.close()
        self._writer.close()
