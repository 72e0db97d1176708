"""Latency of block I/O: exact counts, and histograms of every request, per device and second."""

from __future__ import annotations

import struct
from array import array
from collections.abc import Iterable
from dataclasses import dataclass

from kernelsight.collectors.base import Host, collector
from kernelsight.collectors.bpf import objects
from kernelsight.collectors.bpf.histogram import BUCKETS, lower_bound, percentiles
from kernelsight.collectors.bpf.libbpf import Object
from kernelsight.collectors.text import fixed_name
from kernelsight.events.block import IoLatency

_NAME = 32
_NUMBERS = 10  # counts, bytes, discards, discard bytes, flushes, errors, queue, device
_LONGEST = struct.Struct("=8Q")
_LONGEST_AT = _NAME + 8 * _NUMBERS
_HISTOGRAMS_AT = _LONGEST_AT + _LONGEST.size
_HISTOGRAM = 4 * BUCKETS
_READ, _WRITE = 0, 1
_TOTAL, _QUEUE, _DEVICE = 0, 1, 2

Counts = list[tuple[int, int]]
"""Bucket and requests in it, by ascending bucket."""


def difference(now: bytes, before: bytes) -> Counts:
    """What was added to a histogram of 32-bit counts, which may have wrapped."""
    if now == before:
        return []
    new, old = array("I", now), array("I", before)
    return [
        (bucket, (new[bucket] - old[bucket]) & 0xFFFFFFFF) for bucket in range(BUCKETS) if new[bucket] != old[bucket]
    ]


@dataclass(frozen=True, slots=True)
class Device:
    """One device's counts as the program keeps them (struct device of block_io.bpf.c); only growing."""

    raw: bytes

    @property
    def name(self) -> str:
        """Its name in /sys/block; empty while nothing uses this slot."""
        return fixed_name(self.raw[:_NAME])

    @property
    def numbers(self) -> array[int]:
        """Everything that is a sum."""
        return array("Q", self.raw[_NAME:_LONGEST_AT])

    def histogram(self, direction: int, part: int) -> bytes:
        """One histogram: 32-bit counts."""
        at = _HISTOGRAMS_AT + (direction * 3 + part) * _HISTOGRAM
        return self.raw[at : at + _HISTOGRAM]

    def longest_ns(self, direction: int, interval: int) -> int:
        """The longest of an interval; 0 when there was none."""
        at = 4 * (interval & 1) + 2 * direction
        of, ns = _LONGEST.unpack_from(self.raw, _LONGEST_AT)[at : at + 2]
        return int(ns) if of == interval else 0


def latency(now: Device, before: Device, interval: int, timestamp: int) -> IoLatency:
    """What happened on a device between two readings."""
    reads, writes, read_bytes, write_bytes, discards, discard_bytes, flushes, errors, queue_ns, device_ns = (
        new - old for new, old in zip(now.numbers, before.numbers, strict=True)
    )
    event = IoLatency(
        timestamp,
        device=now.name,
        read_count=reads,
        read_bytes=read_bytes,
        write_count=writes,
        write_bytes=write_bytes,
        discard_count=discards,
        discard_bytes=discard_bytes,
        flush_count=flushes,
        errors=errors,
        queue_us=queue_ns / 1000,
        device_us=device_ns / 1000,
    )
    for direction, side in ((_READ, "read"), (_WRITE, "write")):
        total, queue, device = (
            difference(now.histogram(direction, part), before.histogram(direction, part))
            for part in (_TOTAL, _QUEUE, _DEVICE)
        )
        if not total:
            continue
        # A request may end between the reading of the histogram and that of the longest, or the other way round.
        longest = now.longest_ns(direction, interval)
        last = total[-1][0]
        longest = min(max(longest, lower_bound(last)), lower_bound(last + 1))
        for name, ns in zip(("p50", "p95", "p99"), percentiles(total, (0.5, 0.95, 0.99)), strict=True):
            setattr(event, f"{side}_{name}_us", min(ns, longest) / 1000)
        setattr(event, f"{side}_max_us", longest / 1000)
        if queue and device:
            setattr(event, f"{side}_queue_p95_us", percentiles(queue, (0.95,))[0] / 1000)
            setattr(event, f"{side}_device_p95_us", percentiles(device, (0.95,))[0] / 1000)
    return event


@collector("block_io", source="bpf", emits=(IoLatency,), rank=10)
class BlockIoCollector:
    """Latency of block requests per device: percentiles within 3 %, queue and device apart.

    Counts and bytes are those of the ends that the kernel tells of; with its devices and CPUs overloaded, Linux
    6.18 was seen to keep up to 8 of 2,274 to itself, from every program that asks (`disk` has its own counts).
    Seen are devices with requests (SCSI, NVMe, virtio, loop, ...); devices
    that only pass bios on (dm, md, zram) have no requests of their own: those of the disks below them
    are counted there. A device has a row for every interval in which something ended on it, and for
    the first in which nothing did.
    """

    def __init__(self, host: Host) -> None:
        present = sum(1 for _ in (host.sys / "block").iterdir()) if (host.sys / "block").is_dir() else 0
        slots = present + 32  # some may be plugged in later
        self._object = Object(objects.image("block_io"), "block_io", max_entries={"devices": slots, "slots": slots})
        try:
            self._object.attach(*self._object.program_names)
        except BaseException:
            self.close()
            raise
        self._devices = self._object.map("devices")
        self._interval = self._object.variable("interval")
        self._used = self._object.variable("used")
        self._unknown = self._object.variable("unknown")
        self._unplaced = self._object.variable("unplaced")
        self._before: dict[int, Device] = {}
        self._active: set[int] = set()

    @property
    def lost(self) -> int:
        """Requests that could not be timed because their beginning was not seen, or not counted for want of room."""
        return self._unknown.value + self._unplaced.value

    def collect(self, now: int) -> Iterable[IoLatency]:
        """Requests that have ended since the last time, by device."""
        interval = self._interval.value
        self._interval.value = interval + 1
        events: list[IoLatency] = []
        for slot in range(min(self._used.value, self._devices.max_entries)):
            device = Device(self._devices.lookup(slot.to_bytes(4, "little")) or b"")
            before = self._before.get(slot) or Device(device.raw[:_NAME] + bytes(len(device.raw) - _NAME))
            moved = device.numbers != before.numbers
            if device.name and (moved or slot in self._active):
                events.append(latency(device, before, interval, now))
            (self._active.add if moved else self._active.discard)(slot)
            self._before[slot] = device
        return events

    def close(self) -> None:
        """Detach the programs."""
        self._object.close()
