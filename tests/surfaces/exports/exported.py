"""A store of which it is known what is exported from it."""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path

import msgspec

from kernelsight.events.action import DiagnosisRow
from kernelsight.events.block import Block
from kernelsight.events.declare import Event
from kernelsight.events.memory import Memory
from kernelsight.events.network import Network
from kernelsight.events.process import Process
from kernelsight.events.scheduler import Cpu
from kernelsight.events.signal import Signal
from kernelsight.stores.base import Batch, open_writer

S = 1_000_000_000
NOW = 1_790_000_000 * S
HOSTILE = 'eth0"} 1\nkernelsight_evil{x="\x1b[31m\\'


def store_of(path: Path, events: Iterable[Event]) -> str:
    """A store with these events; its path."""
    batch = Batch()
    for event in events:
        batch.events.setdefault(type(event), []).append(msgspec.structs.astuple(event))
    writer = open_writer(str(path))
    assert not writer.write(batch)
    writer.close()
    return str(path)


EVENTS: tuple[Event, ...] = (
    Memory(NOW - 2 * S, mem_total_kb=4_000_000, mem_free_kb=1),
    Memory(NOW - S, mem_total_kb=4_000_000, mem_free_kb=1_000_000),
    Block(NOW - S, device_name="sda", read_sectors=2_000, io_ticks=1_500, in_flight=3),
    Block(NOW - 60 * S, device_name="gone", read_sectors=1),
    Cpu(NOW - S, cpu=-1, user=300, forks=77),
    Cpu(NOW - S, cpu=0, user=100),
    Cpu(NOW - S, cpu=1, user=200),
    Network(NOW - S, interface_name=HOSTILE, rx_bytes=5),
    Process(NOW - S, pid=4182, comm="postgres", start_ticks=9, rss_kb=7),
    Signal(NOW - 30 * S, rule="io_stall", severity="critical", summary="tasks stall", last_seen_ns=NOW),
    Signal(NOW - 90 * S, rule="io_stall", severity="critical", summary="over", end_ns=NOW - 80 * S),
    DiagnosisRow(NOW - 40 * S, diagnosis_id="old", healthy=True, rank=0),
    DiagnosisRow(
        NOW - 5 * S,
        diagnosis_id="new",
        healthy=False,
        rank=1,
        fault="disk_saturation",
        culprit_kind="process",
        culprit="17",
        culprit_name="scan",
        confidence=0.75,
    ),
)
