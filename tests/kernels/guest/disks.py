"""Requests of a virtio disk."""

from __future__ import annotations

import mmap
import os
import time
from contextlib import closing
from pathlib import Path

from guest import check
from kernelsight.collectors.base import Host, Registered

DISK = Path("/dev/vdb")
STAT = Path("/sys/block/vdb/stat")
BLOCK = 16384
READS, WRITES = 60, 40


@check("io_latency")
def requests_are_counted_exactly_and_timed(entry: Registered) -> None:
    with closing(entry.factory(Host())) as collector:
        list(collector.collect(time.time_ns()))
        before = [int(field) for field in STAT.read_text().split()]
        longest = use()
        (event,) = (one for one in collector.collect(time.time_ns()) if one.device == DISK.name)
        after = [int(field) for field in STAT.read_text().split()]
        lost = collector.lost
    done = [new - old for new, old in zip(after, before, strict=True)]
    assert (event.read_count, event.write_count) == (READS, WRITES), event
    assert (event.read_bytes, event.write_bytes) == (READS * BLOCK, WRITES * BLOCK), event
    assert event.flush_count == done[15] >= 1, (event, done)
    for side in ("read", "write"):
        p50, p95, p99, most = (getattr(event, f"{side}_{name}_us") for name in ("p50", "p95", "p99", "max"))
        assert 0 < p50 <= p95 <= p99 <= most <= longest / 1000, (side, longest, event)
    # The kernel's own sums, in ms, of all requests from their beginning to their end.
    assert event.queue_us + event.device_us <= (done[3] + done[7] + 2) * 1000, (event, done)
    assert event.device_us > 0, event
    assert (event.errors, lost) == (0, 0), event


def use() -> int:
    """Read and write past the page cache; the longest that a call took (ns)."""
    took = []
    block = mmap.mmap(-1, BLOCK)
    disk = os.open(DISK, os.O_RDWR | os.O_DIRECT)
    try:
        for number in range(READS + WRITES):
            began = time.monotonic_ns()
            call = os.preadv if number < READS else os.pwritev
            assert call(disk, [block], number * 2 * BLOCK) == BLOCK
            took.append(time.monotonic_ns() - began)
        os.fsync(disk)
    finally:
        os.close(disk)
    return max(took)
