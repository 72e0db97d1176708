"""A machine that idles for twenty minutes and then has trouble, stored through the real ingestion."""

from __future__ import annotations

import os
import random
from collections.abc import Iterator
from io import StringIO
from pathlib import Path

from kernelsight.events.block import Block
from kernelsight.events.declare import Event
from kernelsight.events.memory import Memory
from kernelsight.events.scheduler import Load
from kernelsight.events.wire import encode_lines
from kernelsight.ingest import daemon

START = 1_790_000_000_000_000_000
SECOND = 1_000_000_000
LENGTH_S = 1500
TROUBLE_S = 1200
"""For a minute from here on the disk is written to in bulk: its rates and the dirty pages leave their range."""


def events(seed: int = 1, *, trouble: bool = True) -> Iterator[Event]:
    rng = random.Random(seed)
    written = requests = 0
    for second in range(LENGTH_S):
        at = START + second * SECOND
        bad = trouble and TROUBLE_S <= second < TROUBLE_S + 60
        written += rng.randrange(4_000, 6_000) + (400_000 if bad else 0)
        requests += rng.randrange(80, 120) + (3_000 if bad else 0)
        dirty = rng.randrange(8_000, 12_000) + (900_000 if bad else 0)
        yield Block(timestamp=at, device_name="sda", write_sectors=written, write_ios=requests)
        yield Block(timestamp=at, device_name="sdb", write_sectors=7, write_ios=1)
        yield Memory(timestamp=at, mem_total_kb=16_000_000, dirty_kb=dirty)
        yield Load(timestamp=at, load_1min=round(0.2 + rng.random() / 10, 2))


def store(path: Path, *, trouble: bool = True) -> Path:
    """Write the machine's lines to a store by the daemon."""
    lines = path.with_suffix(".ndjson")
    lines.write_bytes(encode_lines(events(trouble=trouble)))
    ingest(path, lines)
    return path


def ingest(path: Path, lines: Path) -> None:
    log = StringIO()
    fd = os.open(lines, os.O_RDONLY)
    try:
        assert daemon.run(fd, str(path), daemon.Settings(batch_size=2000), log) == 0, log.getvalue()
    finally:
        os.close(fd)
