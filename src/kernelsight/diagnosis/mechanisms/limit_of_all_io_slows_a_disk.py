"""A limit of the root group: it holds back every program that uses a device, as if the device were slow."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from kernelsight.diagnosis.devices import Device, devices
from kernelsight.diagnosis.faults.disk_latency import DISK_LATENCY
from kernelsight.diagnosis.io_limits import IO_LIMITS, IoLimit, is_at_limit, limit_claim, passes_per_s
from kernelsight.diagnosis.mechanism import Check, Explanation, Mechanism, Prior, path
from kernelsight.diagnosis.model import Entity
from kernelsight.diagnosis.phrases import of_every_second
from kernelsight.diagnosis.remedies import RAISE_IO_LIMIT
from kernelsight.diagnosis.seconds import telling
from kernelsight.diagnosis.storage import Waiter, slowed, wait_claims
from kernelsight.diagnosis.threshold import Threshold
from kernelsight.diagnosis.window import CounterDelta, Interval, Window, runs
from kernelsight.events.cgroup import Cgroup
from kernelsight.events.fields import getter
from kernelsight.events.scheduler import Wait

LONGER = Threshold(
    10.0,
    "times the latency of the device",
    because="judged: of a wait that takes so much longer than the device, nearly all is before the device",
)


@dataclass(frozen=True, slots=True)
class LimitedDevice:
    """A device in a stretch of seconds in which it did as much as a limit of the root group lets pass."""

    device: Device
    run: Interval
    limited: IoLimit
    waiting: Sequence[Waiter]
    """Processes that waited for storage much longer than the device takes, those that waited longest first."""
    waits_are_recorded: bool
    deltas: Sequence[CounterDelta[Cgroup]]
    """Of the root group."""


def measure(window: Window) -> Iterable[LimitedDevice]:
    """Each device, limit of the root group and stretch in which the device did as much as that."""
    deltas = window.deltas(Cgroup).get(("/",), ())
    for limited in IO_LIMITS if deltas else ():
        limit = getter(limited.limit)(deltas[-1].after)
        if limit:
            passes = passes_per_s(limit, in_requests=limited.in_requests)
            for device in window.once(devices).values():
                yield from _limited_device(window, device, deltas, limited, passes)


def _limited_device(
    window: Window, device: Device, deltas: Sequence[CounterDelta[Cgroup]], limited: IoLimit, passes: float
) -> Iterable[LimitedDevice]:
    shares = {second: limited.of_device(load) / load.seconds / passes for second, load in device.loads.items()}
    for run in telling(runs(shares, is_at_limit)):
        latency_s = device.load(run).latency_s
        waiting = [waiter for waiter in slowed(window, run) if waiter.mean_s(run) >= LONGER * latency_s]
        within = window.during(deltas, run) or deltas[-1:]
        yield LimitedDevice(device, run, limited, waiting, waits_are_recorded=bool(window.rows(Wait)), deltas=within)


def explain(window: Window, suspect: LimitedDevice) -> Explanation:
    """The kernel keeps requests back before they come to the device."""
    culprit = suspect.device.entity
    path_of_group = str(suspect.deltas[-1].after.cgroup)
    group = Entity("cgroup", path_of_group, path_of_group)
    return Explanation(
        culprit=culprit,
        onset_ns=window.at(suspect.run.first),
        victims=tuple(waiter.entity for waiter in suspect.waiting[:5]),
        does=f"is slowed by an I/O limit of {group.name}",
        harm=f"waits {of_every_second(suspect.waiting[0].waited_in(suspect.run), suspect.run.seconds)} for it"
        if suspect.waiting
        else "",
        suffering_s=sum(waiter.waited_in(suspect.run) for waiter in suspect.waiting),
        path=path(
            *wait_claims(window, suspect.waiting, suspect.run),
            limit_claim(window, suspect.deltas, suspect.limited),
        ),
        refuted_by=f"{culprit.name} is as slow with a higher limit",
        outlook=f"every program that needs {culprit.name} goes on waiting, however idle it is",
        actions=(
            RAISE_IO_LIMIT.on(group, f"raise what {group.name} may do with {culprit.name} (io.max, blkio.throttle)"),
        ),
    )


MECHANISM = Mechanism[LimitedDevice](
    fault=DISK_LATENCY,
    summary="A limit of the root group lets less I/O pass to a device than all programs together want.",
    measure=measure,
    prior=Prior(
        2.5,
        because="judged: as for a single group (`group_at_its_io_limit`): only a device that does as much as the limit "
        "lets pass is a suspect",
    ),
    checks=(
        Check(
            id="processes_wait",
            says="processes wait for storage, or nothing records who waits",
            holds=lambda suspect: bool(suspect.waiting) or not suspect.waits_are_recorded,
            supports=1.5,
            refutes=3.0,
            because="judged: processes that the limit holds back wait for storage; a device may happen to do as "
            "much as the limit while no program wants more",
        ),
        Check(
            id="waits_before_the_device",
            says="the requests wait before they come to the device",
            holds=lambda suspect: bool(suspect.waiting),
            supports=0.5,
            refutes=3.0,
            because="judged: the limit holds for each device, and its row names none: only a wait that is much longer "
            "than the device takes shows that it is this one; else the device itself may be slow",
        ),
    ),
    explain=explain,
)
