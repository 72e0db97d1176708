"""What block devices were asked and how they answered, second by second, from their own counters.

The counters are those of Documentation/block/stat.rst, which everybody may read.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field

from kernelsight.diagnosis.model import Entity, Evidence, How
from kernelsight.diagnosis.window import CounterDelta, Interval, Window, samples_of
from kernelsight.events.block import Block
from kernelsight.events.fields import Metric

_SECTOR = 512
_ON_OTHERS = ("loop", "dm-", "md", "drbd", "bcache")
"""Names of devices whose requests become requests of another one."""


_SUMS = ("seconds", "requests", "reads", "writes", "flushes", "read_bytes", "write_bytes", "busy", "taken", "queued")


@dataclass(slots=True)
class Load:
    """What a device did in some time; times in seconds, summed over requests but for `busy`."""

    seconds: float = 0.0
    requests: float = 0.0
    reads: float = 0.0
    writes: float = 0.0
    flushes: float = 0.0
    read_bytes: float = 0.0
    write_bytes: float = 0.0
    busy: float = 0.0
    """With at least one request in flight."""
    taken: float = 0.0
    """From when a request came to when it was done."""
    queued: float = 0.0
    """The same, counted while requests are under way; divided by time, the length of the queue."""
    in_flight: float = 0.0
    """The least number of requests under way at the ends of seconds; of several seconds, the least of any."""

    def add(self, other: Load) -> None:
        """Take what was done in another time in."""
        self.in_flight = min(self.in_flight, other.in_flight) if self.seconds else other.in_flight
        for name in _SUMS:
            setattr(self, name, getattr(self, name) + getattr(other, name))

    @property
    def busy_share(self) -> float:
        """Of the time, the share in which something was under way."""
        return self.busy / self.seconds if self.seconds else 0.0

    @property
    def queue(self) -> float:
        """Requests under way, on average."""
        return self.queued / self.seconds if self.seconds else 0.0

    @property
    def latency_s(self) -> float:
        """Of a request, on average."""
        return self.taken / self.requests if self.requests else 0.0

    @property
    def service_s(self) -> float:
        """Busy time for a request: what it would take alone, if the device does one at a time."""
        return self.busy / self.requests if self.requests else 0.0

    @property
    def request_bytes(self) -> float:
        """Size of a request, on average."""
        return self.bytes / self.requests if self.requests else 0.0

    @property
    def bytes(self) -> float:
        """Read and written."""
        return self.read_bytes + self.write_bytes

    @property
    def is_stuck(self) -> bool:
        """Whether requests are under way and none is done."""
        return self.requests == 0 and self.flushes == 0 and self.in_flight > 0


@dataclass(slots=True)
class Device:
    """One block device over the window."""

    name: str
    deltas: list[CounterDelta[Block]]
    loads: dict[int, Load] = field(default_factory=dict)
    """By second."""

    @property
    def entity(self) -> Entity:
        """It, as a finding names it."""
        return Entity("device", self.name, self.name)

    @property
    def is_stacked(self) -> bool:
        """Whether its requests become those of another device (or file)."""
        return self.name.startswith(_ON_OTHERS)

    def load(self, run: Interval) -> Load:
        """What it did within a stretch."""
        return _together(load for second, load in self.loads.items() if second in run)

    def load_before(self, run: Interval) -> Load:
        """What it did in the window before a stretch."""
        return _together(load for second, load in self.loads.items() if second < run.first)


def devices(window: Window) -> Mapping[str, Device]:
    """The devices that are there, by name; use with :meth:`Window.once`."""
    known = {}
    for (name,), deltas in window.deltas(Block).items():
        device = known[str(name)] = Device(str(name), list(deltas))
        for delta in deltas:
            device.loads.setdefault(window.second(delta.after), Load()).add(_load(delta))
    return known


def shown(
    window: Window, device: Device, run: Interval, metric: Metric[Block], how: How = "increase"
) -> Evidence | None:
    """The rows that show a counter of a device within a stretch."""
    within = window.during(device.deltas, run)
    rows = samples_of(within) if how == "increase" else [delta.after for delta in within]
    return window.evidence(rows, metric, how)


def _load(delta: CounterDelta[Block]) -> Load:
    taken = delta.of(Block.read_ticks) + delta.of(Block.write_ticks) + delta.of(Block.discard_ticks)
    in_flight = min(delta.before.in_flight or 0, delta.after.in_flight or 0)
    busy = delta.of(Block.io_ticks)
    if not in_flight:
        # Before Linux 6.10 a request counts as a whole tick of the clock, however short it is.
        busy = min(busy, taken + delta.of(Block.flush_ticks))
    return Load(
        seconds=delta.seconds,
        requests=delta.of(Block.read_ios) + delta.of(Block.write_ios) + delta.of(Block.discard_ios),
        reads=delta.of(Block.read_ios),
        writes=delta.of(Block.write_ios),
        flushes=delta.of(Block.flush_ios),
        read_bytes=_SECTOR * delta.of(Block.read_sectors),
        write_bytes=_SECTOR * delta.of(Block.write_sectors),
        busy=busy / 1e3,
        taken=taken / 1e3,
        queued=delta.of(Block.time_in_queue) / 1e3,
        in_flight=in_flight,
    )


def _together(loads: Iterable[Load]) -> Load:
    total = Load()
    for load in loads:
        total.add(load)
    return total
