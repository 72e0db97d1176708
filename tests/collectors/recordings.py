"""What the collectors make of the recorded trees; run this file to write the golden files anew."""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path

from kernelsight.collectors.base import Host, open_best
from kernelsight.collectors.procfs.filesystem import FilesystemCollector
from kernelsight.events.declare import Event
from kernelsight.events.wire import encode_lines

NOW = 1_800_000_000_000_000_000
TREES = Path(__file__).parents[1] / "fixtures/proc"
GOLDEN = Path(__file__).with_name("golden")
KERNELS = ("linux-6.1", "linux-6.12", "linux-6.18")
NAMES = ("memory", "vmstat", "load", "cpu", "pressure", "block", "network", "tcp", "tcp_retransmit")


def host(kernel: str) -> Host:
    tree = TREES / kernel
    return Host(proc=tree / "proc", sys=tree / "sys", cgroup=tree / "sys/fs/cgroup")


def recorded_space(mount_point: bytes) -> os.statvfs_result:
    """Space of a file system that is not mounted here: told apart by the length of its path."""
    size = 1000 + len(mount_point)
    return os.statvfs_result((4096, 1024, size, size // 2, size // 4, 100, 50, 50, os.ST_RDONLY, 255))


def events(kernel: str) -> Iterator[Event]:
    for name in NAMES:
        _, collector = open_best(name, host(kernel))
        yield from collector.collect(NOW)
        collector.close()
    filesystems = FilesystemCollector(host(kernel), recorded_space)
    yield from filesystems.collect(NOW)
    filesystems.close()


if __name__ == "__main__":
    GOLDEN.mkdir(exist_ok=True)
    for recorded in KERNELS:
        (GOLDEN / f"{recorded}.ndjson").write_bytes(encode_lines(events(recorded)))
