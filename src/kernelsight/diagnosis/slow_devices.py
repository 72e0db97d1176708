"""Devices that take long for each request, by themselves and not because of how much is asked of them."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence

from kernelsight.diagnosis.devices import Device, Load, devices
from kernelsight.diagnosis.seconds import telling
from kernelsight.diagnosis.threshold import Threshold
from kernelsight.diagnosis.window import Interval, Window, runs

SLOW_S = Threshold(
    0.02,
    "s of busy time a request",
    because="calculated: at 5400/min half a turn takes 5.6 ms, and a seek takes about 12 ms; no disk needs longer for "
    "one request at a time; the signal `device_slow` judges the latency, with the time in the queue",
)
SLOWEST_BYTES_PER_S = Threshold(
    50e6, "B/s", because="judged: every disk reaches this rate for long requests; what is longer may take its time"
)
SLOWER = Threshold(
    5.0,
    "times the usual latency",
    because="judged: at no higher load, the latency of a healthy device varies less than this",
)
LEAST_SLOW_S = Threshold(0.005, "s a request", because="judged: a shorter request hurts nobody, whatever is usual")
MORE_LOAD = Threshold(
    1.5, "times the usual load", because="judged: so many more requests (or bytes) explain a longer latency"
)


def slow_devices(window: Window) -> Mapping[str, Sequence[Interval]]:
    """By device, the stretches in which requests take long and not because of how many there are.

    Use with :meth:`Window.once`.
    """
    return {device.name: _slow_runs(device) for device in window.once(devices).values()}


def _slow_runs(device: Device) -> list[Interval]:
    usual: dict[int, Load | None] = {}
    slow: dict[int, float] = {}
    for second, load in device.loads.items():
        size = _size(load)
        if size not in usual:
            usual[size] = _usual(other for other in device.loads.values() if abs(_size(other) - size) <= 1)
        slow[second] = float(_is_slow(load, usual[size]))
    return telling([run for run in runs(slow, bool) if device.load(run).requests])


def _is_slow(load: Load, usual: Load | None) -> bool:
    """Whether a request takes long by itself: longer than any disk needs, or than this one does at such a load."""
    if not load.requests:
        return load.in_flight > 0
    transfer = load.request_bytes / SLOWEST_BYTES_PER_S
    if load.service_s - transfer >= SLOW_S:
        return True
    if usual is None or load.latency_s - transfer < max(LEAST_SLOW_S, SLOWER * usual.latency_s):
        return False
    more = load.requests * usual.seconds > MORE_LOAD * usual.requests * load.seconds
    larger = load.bytes * usual.seconds > MORE_LOAD * usual.bytes * load.seconds
    return not (more or larger)


def _size(load: Load) -> int:
    """The power of two that requests are as large as: the usual time of a sequential one says nothing of small ones."""
    return int(load.request_bytes).bit_length()


def _usual(loads: Iterable[Load]) -> Load | None:
    """What a device does when it answers well: the quarter of the seconds in which requests took least."""
    known = sorted((load for load in loads if load.requests >= 2), key=lambda load: load.latency_s)
    quarter = known[: len(known) // 4]
    if len(quarter) < 2:
        return None
    total = Load()
    for load in quarter:
        total.add(load)
    return total
