"""A disk that takes long for each request by itself: it fails, or what it is made of is slow."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from kernelsight.diagnosis.devices import Device, devices, shown
from kernelsight.diagnosis.faults.disk_latency import DISK_LATENCY
from kernelsight.diagnosis.mechanism import Check, Explanation, Mechanism, Prior, claim, path
from kernelsight.diagnosis.mechanisms.one_program_keeps_a_disk_busy import DEEP_QUEUE
from kernelsight.diagnosis.phrases import of_every_second
from kernelsight.diagnosis.remedies import LOOK
from kernelsight.diagnosis.slow_devices import slow_devices
from kernelsight.diagnosis.storage import STALLED_SHARE, Waiter, stall_claim, stalled_share, wait_claims, waiting_for
from kernelsight.diagnosis.threshold import Threshold
from kernelsight.diagnosis.window import Interval, Window
from kernelsight.events.block import Block
from kernelsight.events.scheduler import Wait
from kernelsight.quantities import quantity

FEW = Threshold(
    DEEP_QUEUE / 2,
    "requests under way, on average",
    because="judged: half of a deep queue (`DEEP_QUEUE`); up to here no request waits long for the others",
)


@dataclass(frozen=True, slots=True)
class SlowDisk:
    """A device in a stretch of seconds in which each request took long, and not because of how many there were."""

    device: Device
    run: Interval
    queue: float
    """Requests under way, on average."""
    requests_per_s: float
    latency_s: float
    """Of a request, on average."""
    latency_before_s: float | None
    """The same before; None where there was no request."""
    victims: Sequence[Waiter]
    """Processes that waited for it, those that waited longest first."""
    stalled_share: float | None
    """Of the time, how long some task stalled on I/O; None where it is recorded who waited."""
    is_slow_below: bool
    """Whether its requests become those of another device, and one such was slow at the same time."""


def measure(window: Window) -> Iterable[SlowDisk]:
    """Each device and stretch in which requests took long."""
    slow = [(device, run) for device in window.once(devices).values() for run in window.once(slow_devices)[device.name]]
    for device, run in slow:
        load, before = device.load(run), device.load_before(run)
        below = any(not other.is_stacked and stretch.overlaps(run) for other, stretch in slow)
        yield SlowDisk(
            device,
            run,
            queue=load.queue,
            requests_per_s=load.requests / load.seconds,
            latency_s=load.latency_s,
            latency_before_s=before.latency_s if before.requests else None,
            victims=waiting_for(window, device, run),
            stalled_share=None if window.rows(Wait) else stalled_share(window, run),
            is_slow_below=device.is_stacked and below,
        )


def explain(window: Window, disk: SlowDisk) -> Explanation:
    """Each request takes long, however few there are, and a program waits as long for each of its requests."""
    device, run = disk.device, disk.run
    before = "" if disk.latency_before_s is None else f", {1e3 * disk.latency_before_s:.1f} ms before"
    return Explanation(
        culprit=device.entity,
        onset_ns=window.at(run.first),
        victims=tuple(waiter.entity for waiter in disk.victims[:5]),
        does=f"takes {quantity(disk.latency_s, 's')} for each request",
        detail=f"{disk.queue:.1f} requests are under way on average" + before.replace(" before", " a request before"),
        harm=f"waits {of_every_second(disk.victims[0].waited_in(run), run.seconds)} for it" if disk.victims else "",
        suffering_s=sum(waiter.waited_in(run) for waiter in disk.victims),
        path=path(
            *wait_claims(window, disk.victims, run),
            None if disk.victims else stall_claim(window, device, run),
            claim(
                f"{device.name} took {1e3 * disk.latency_s:.0f} ms for a request{before}, with {disk.queue:.1f} "
                f"under way and {disk.requests_per_s:.0f} a second",
                shown(window, device, run, Block.write_ticks),
                shown(window, device, run, Block.read_ticks),
                shown(window, device, run, Block.time_in_queue),
            ),
        ),
        refuted_by=f"{device.name} is fast when it gets one request at a time",
        outlook=f"every program that needs {device.name} stays slow; a disk that fails often begins like this",
        actions=(
            LOOK.on(device.entity, f"look at {device.name}: its errors, its path, what it is made of"),
        ),
    )  # fmt: skip


MECHANISM = Mechanism[SlowDisk](
    fault=DISK_LATENCY,
    summary="A device takes long for each request though little is asked of it.",
    measure=measure,
    prior=Prior(
        2.0,
        because="judged: only a device whose requests take longer than any disk needs, or five times as long as usual "
        "at no higher load, is a suspect; little but a slow device shows so",
    ),
    checks=(
        Check(
            id="few_requests",
            says="few requests are under way",
            holds=lambda disk: disk.queue <= FEW,
            supports=0.5,
            refutes=1.5,
            because="judged: in a long queue, requests wait for each other; a device that delays all of them at once "
            "has a long queue, too, so it refutes little",
        ),
        Check(
            id="somebody_waits",
            says="processes wait for the device",
            holds=lambda disk: bool(disk.victims) or (disk.stalled_share or 0) >= STALLED_SHARE,
            supports=2.0,
            refutes=3.0,
            because="judged: it is the harm that the fault does; writeback in the background may take its time",
        ),
        Check(
            id="not_slow_below",
            says="no device below it is slow",
            holds=lambda disk: not disk.is_slow_below,
            supports=0.5,
            refutes=2.0,
            because="judged: a loop device, a mapped one or a RAID is as slow as what it is made of, and that is the "
            "culprit",
        ),
    ),
    explain=explain,
)
