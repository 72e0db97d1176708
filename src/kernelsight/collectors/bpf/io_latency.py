"""Latency of block I/O: exact counts, and histograms of every request, per device and second."""

from __future__ import annotations

from array import array
from collections.abc import Iterable
from operator import sub

from kernelsight.collectors.base import Host, collector
from kernelsight.collectors.bpf import objects
from kernelsight.collectors.bpf.btf import Btf
from kernelsight.collectors.bpf.histogram import FINE, Counts
from kernelsight.collectors.bpf.libbpf import Object
from kernelsight.collectors.text import fixed_name
from kernelsight.events.block import IoLatency

_READ, _WRITE = 0, 1
_TOTAL, _QUEUE, _DEVICE = 0, 1, 2


def difference(now: bytes, before: bytes) -> Counts:
    """What was added to a histogram of 32-bit counts, which may have wrapped."""
    if now == before:
        return []
    new, old = array("I", now), array("I", before)
    return [
        (bucket, (new[bucket] - old[bucket]) & 0xFFFFFFFF)
        for bucket in range(FINE.buckets)
        if new[bucket] != old[bucket]
    ]


class Devices:
    """How the program keeps a device's counts, which only grow (struct device of block_io.bpf.c)."""

    def __init__(self, types: Btf) -> None:
        self.layout = types.layout("device")
        self._longest = types.layout("longest")
        others = ("name", "longest", "histogram")
        self.names = tuple(name for name in self.layout.names if name not in others)
        self._sums = self.layout.struct(self.names)
        self._name, self._longest_at, self._histograms = (self.layout[name] for name in others)
        self._histogram_size = self._histograms.size // (2 * 3)  # directions, parts

    def name(self, device: bytes) -> str:
        """Its name in /sys/block; empty while nothing uses this slot."""
        return fixed_name(device[self._name.offset : self._name.end])

    def sums(self, device: bytes) -> tuple[int, ...]:
        """Everything that is a sum, in the order of `names`."""
        return self._sums.unpack(device)

    def histogram(self, device: bytes, direction: int, part: int) -> bytes:
        """One histogram: 32-bit counts."""
        at = self._histograms.offset + (direction * 3 + part) * self._histogram_size
        return device[at : at + self._histogram_size]

    def longest_ns(self, device: bytes, direction: int, interval: int) -> int:
        """The longest of an interval; 0 when there was none."""
        at = 2 * (interval & 1) + direction
        kept = device[self._longest_at.offset : self._longest_at.end]
        return self._longest.column("ns", kept)[at] if self._longest.column("interval", kept)[at] == interval else 0

    def unused(self, device: bytes) -> bytes:
        """The same device before anything happened on it."""
        return self.layout.pack(name=device[self._name.offset : self._name.end])


def latency(devices: Devices, now: bytes, before: bytes, interval: int, timestamp: int) -> IoLatency:
    """What happened on a device between two readings."""
    grown = dict(zip(devices.names, map(sub, devices.sums(now), devices.sums(before)), strict=True))
    event = IoLatency(
        timestamp,
        device=devices.name(now),
        queue_us=grown.pop("queue_ns") / 1000,
        device_us=grown.pop("device_ns") / 1000,
        **grown,
    )
    for direction, side in ((_READ, "read"), (_WRITE, "write")):
        total, queue, device = (
            difference(devices.histogram(now, direction, part), devices.histogram(before, direction, part))
            for part in (_TOTAL, _QUEUE, _DEVICE)
        )
        if not total:
            continue
        # A request may end between the reading of the histogram and that of the longest, or the other way round.
        longest = devices.longest_ns(now, direction, interval)
        last = total[-1][0]
        longest = min(max(longest, FINE.lower_bound(last)), FINE.lower_bound(last + 1))
        for name, ns in zip(("p50", "p95", "p99"), FINE.percentiles(total, (0.5, 0.95, 0.99)), strict=True):
            setattr(event, f"{side}_{name}_us", min(ns, longest) / 1000)
        setattr(event, f"{side}_max_us", longest / 1000)
        if queue and device:
            setattr(event, f"{side}_queue_p95_us", FINE.percentiles(queue, (0.95,))[0] / 1000)
            setattr(event, f"{side}_device_p95_us", FINE.percentiles(device, (0.95,))[0] / 1000)
    return event


@collector(formerly="block_io", source="bpf", emits=(IoLatency,), rank=10)
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
        self._map = self._object.map("devices")
        self._devices = Devices(self._object.types)
        self._interval = self._object.variable("interval")
        self._used = self._object.variable("used")
        self._unknown = self._object.variable("unknown")
        self._unplaced = self._object.variable("unplaced")
        self._before: dict[int, bytes] = {}
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
        for slot in range(min(self._used.value, self._map.max_entries)):
            device = self._map.lookup(slot.to_bytes(self._map.key_size, "little"))
            assert device is not None  # an array has every element
            before = self._before.get(slot) or self._devices.unused(device)
            moved = self._devices.sums(device) != self._devices.sums(before)
            if self._devices.name(device) and (moved or slot in self._active):
                events.append(latency(self._devices, device, before, interval, now))
            (self._active.add if moved else self._active.discard)(slot)
            self._before[slot] = device
        return events

    def close(self) -> None:
        """Detach the programs."""
        self._object.close()
