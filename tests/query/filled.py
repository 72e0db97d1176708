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
    batch = Batch()
    for one in events:
        batch.events.setdefault(type(one), []).append(msgspec.structs.astuple(one))
    writer = open_writer(str(path))
    try:
        assert not writer.write(batch)
    finally:
        writer.close()
    return path


def reader_of(path: Path, events: Iterable[Event]) -> Reader:
    """A reader of a store with these events."""
    return open_reader(str(fill(path, events)))
