"""Limits for I/O that control groups have, and how near they are to them."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import NamedTuple

from kernelsight.diagnosis.devices import Load
from kernelsight.diagnosis.mechanism import claim
from kernelsight.diagnosis.model import Step
from kernelsight.diagnosis.threshold import Threshold
from kernelsight.diagnosis.window import CounterDelta, Window, samples_of
from kernelsight.events.cgroup import Cgroup
from kernelsight.events.fields import Field, getter
from kernelsight.quantities import quantity


class IoLimit(NamedTuple):
    """A limit of a control group: what it counts, and what of a device is the same."""

    counter: Field[Cgroup, int | None]
    on_limited: Field[Cgroup, int | None]
    """The same of the device that the limit is for, where that is told."""
    limit: Field[Cgroup, int | None]
    of_device: Callable[[Load], float]
    verb: str
    unit: str
    in_requests: bool


IO_LIMITS = (
    IoLimit(
        Cgroup.io_read_ios, Cgroup.io_limited_read_ios, Cgroup.io_read_ios_limit,
        lambda load: load.reads, "make", "reads/s", in_requests=True,
    ),
    IoLimit(
        Cgroup.io_write_ios, Cgroup.io_limited_write_ios, Cgroup.io_write_ios_limit,
        lambda load: load.writes, "make", "writes/s", in_requests=True,
    ),
    IoLimit(
        Cgroup.io_read_bytes, Cgroup.io_limited_read_bytes, Cgroup.io_read_bytes_limit,
        lambda load: load.read_bytes, "read", "B/s", in_requests=False,
    ),
    IoLimit(
        Cgroup.io_write_bytes, Cgroup.io_limited_write_bytes, Cgroup.io_write_bytes_limit,
        lambda load: load.write_bytes, "write", "B/s", in_requests=False,
    ),
)  # fmt: skip
AT_LIMIT_SHARE = Threshold(
    0.85,
    "share of what a limit lets pass",
    because="judged: samples and the kernel's slices do not begin together; from here on the limit decides how fast "
    "the group goes",
)
BEYOND_SHARE = Threshold(
    1.25,
    "share of what a limit lets pass",
    because="judged: samples may seem to be so far beyond a limit; what is farther uses other devices, that the limit "
    "is not for",
)
_SLICES_PER_S = 10


def passes_per_s(limit: int, *, in_requests: bool) -> float:
    """What a limit lets pass in a second.

    The kernel gives out what is allowed in slices of a tenth of a second (block/blk-throttle.c), whole requests
    each: of 25 a second it lets 20 pass.
    """
    in_slices = in_requests and limit >= _SLICES_PER_S
    return float(limit // _SLICES_PER_S * _SLICES_PER_S) if in_slices else float(limit)


def is_at_limit(share: float) -> bool:
    """Whether a limit is what decides how fast it goes."""
    return AT_LIMIT_SHARE <= share <= BEYOND_SHARE


def shares_of_group(window: Window, deltas: Sequence[CounterDelta[Cgroup]], limited: IoLimit) -> Mapping[int, float]:
    """What a group did by second, of what its limit lets pass; 0 where it has none."""
    return {window.second(delta.after): _share(delta, limited) for delta in deltas}


def _share(delta: CounterDelta[Cgroup], limited: IoLimit) -> float:
    allowed = getter(limited.limit)(delta.after)
    if not allowed:
        return 0.0
    return delta.of(_counter(delta, limited)) / delta.seconds / passes_per_s(allowed, in_requests=limited.in_requests)


def _counter(delta: CounterDelta[Cgroup], limited: IoLimit) -> Field[Cgroup, int | None]:
    """What counts against a limit: a device that lies on another one (loop, LVM) counts twice in the sum over all."""
    told = all(getter(limited.on_limited)(row) is not None for row in (delta.before, delta.after))
    return limited.on_limited if told else limited.counter


def limit_claim(window: Window, deltas: Sequence[CounterDelta[Cgroup]], limited: IoLimit) -> Step | None:
    """What a path says of a group at a limit."""
    group, rows = deltas[-1].after, samples_of(deltas)
    allowed = quantity(getter(limited.limit)(group), limited.unit)
    return claim(
        f"a limit lets {group.cgroup} {limited.verb} {allowed} on a device, and it reaches that",
        window.evidence(rows, _counter(deltas[-1], limited), "increase"),
        window.evidence(rows[1:], limited.limit, "last"),
    )
