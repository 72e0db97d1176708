"""A disk that is busy all the time because of what one program reads or writes."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from kernelsight.diagnosis.devices import Device, devices
from kernelsight.diagnosis.devices import shown as shown_of_device
from kernelsight.diagnosis.faults.disk_saturation import DISK_SATURATION
from kernelsight.diagnosis.fsync_stalls import lying_dirty, stalls
from kernelsight.diagnosis.mechanism import Check, Explanation, Mechanism, Prior, claim, path
from kernelsight.diagnosis.model import Entity, Proposal, Step
from kernelsight.diagnosis.phrases import of_every_second
from kernelsight.diagnosis.remedies import IONICE, LIMIT_IO, LOOK
from kernelsight.diagnosis.seconds import telling
from kernelsight.diagnosis.slow_devices import slow_devices
from kernelsight.diagnosis.storage import (
    STALLED_SHARE,
    User,
    Waiter,
    stall_claim,
    stalled_share,
    users,
    wait_claims,
    waiters_by_program,
    waiting_for,
)
from kernelsight.diagnosis.threshold import Threshold
from kernelsight.diagnosis.window import Interval, Window, runs
from kernelsight.events.block import Block
from kernelsight.events.scheduler import Wait
from kernelsight.quantities import quantity
from kernelsight.signals.rules.block import DEVICE_BUSY_PERCENT, DEVICE_QUEUE_REQUESTS

BUSY_SHARE = Threshold(
    1 - 4 * (1 - DEVICE_BUSY_PERCENT / 100),
    "share of the time with a request under way",
    because="judged: the device is idle for up to four times as long as where the signal `device_busy` tells; a queue "
    "grows without bound as use nears 1 (M/M/1: at 0.8 a request waits four times its own service time)",
)
RIVALS = Threshold(
    1.5,
    "tasks of one program that wait at a time, on average",
    because="calculated: a program that reads or writes in sequence waits with one task at most; from here on its "
    "tasks wait for each other",
)
DEEP_QUEUE = Threshold(
    DEVICE_QUEUE_REQUESTS / 4,
    "requests under way, on average",
    because="judged: a quarter of what the signal `device_queue_long` tells at; reading ahead for one file has two or "
    "three under way, and a program that asks for more wants more than the device gives",
)
MOST_SHARE = Threshold(
    0.5, "share of the device's bytes and requests", because="calculated: more than all other programs together"
)
ALL_READ = Threshold(
    1.3,
    "times what the device reads",
    because="judged: a program may seem to read so much more than the device, as the samples are not of one moment; "
    "what is more was read elsewhere",
)
SLACK_BYTES = Threshold(
    1 << 20,
    "B",
    because="judged: so little more than the device reads says nothing, as the samples are not of one moment",
)


@dataclass(frozen=True, slots=True)
class BusyDisk:
    """A device in a stretch of seconds in which it always had something to do."""

    device: Device
    run: Interval
    busy_share: float
    """Of the time, with a request under way."""
    queue: float
    """Requests under way, on average."""
    user: User | None
    """The program that does most of what the device does; None: none is seen to use it."""
    culprit: Entity
    """Its largest process, or the device."""
    user_share: float
    """What the program does, of the bytes and requests of the device."""
    waiting_tasks: float
    """Tasks of the program that wait for storage at a time, on average."""
    writes_in_background: bool
    """Whether it writes, and what it writes lies in the page cache: it does not wait for it."""
    victims: Sequence[Waiter]
    """Processes of other programs that the device slows, those that waited longest first."""
    stalled_share: float | None
    """Of the time, how long some task stalled on I/O; None where it is recorded who waited."""
    answers_slowly: bool
    """Whether each request takes long by itself."""
    delays_commits: bool
    """Whether commits of others wait for the dirty pages of the program."""

    @property
    def has_deep_queue(self) -> bool:
        """Whether many requests are under way that somebody waits for, as far as it is recorded who waits."""
        somebody_may_wait = bool(self.victims) or self.stalled_share is not None
        return self.queue >= DEEP_QUEUE and somebody_may_wait and not self.writes_in_background


def measure(window: Window) -> Iterable[BusyDisk]:
    """Each device and stretch in which it was busy."""
    for device in window.once(devices).values():
        busy = {second: load.busy_share if load.requests else 0.0 for second, load in device.loads.items()}
        for run in telling(runs(busy, lambda share: share >= BUSY_SHARE)):
            yield _busy_disk(window, device, run)


def _busy_disk(window: Window, device: Device, run: Interval) -> BusyDisk:
    load = device.load(run)
    user, share = _main_user(window, device, run)
    writes = user is not None and load.write_bytes > load.read_bytes
    waiting = waiting_for(window, device, run)
    return BusyDisk(
        device,
        run,
        busy_share=load.busy_share,
        queue=load.queue,
        user=user,
        culprit=user.largest(window, run) if user else device.entity,
        user_share=share,
        waiting_tasks=sum(waiter.waited_in(run) for waiter in _of_program(window, user)) / run.seconds,
        writes_in_background=writes and user is not None and lying_dirty(window, user, run) is not None,
        victims=[waiter for waiter in waiting if not _is_its_own(window, waiter, user, run)],
        stalled_share=None if window.rows(Wait) else stalled_share(window, run),
        answers_slowly=any(run.overlaps(slow) for slow in window.once(slow_devices)[device.name]),
        delays_commits=any(stall.by is user and stall.run.overlaps(run) for stall in window.once(stalls)),
    )


def _main_user(window: Window, device: Device, run: Interval) -> tuple[User | None, float]:
    """The program that asks most of a device, and its share of what the device does: of the bytes and of the requests.

    A program that moves much more than the device does moves it elsewhere; but what is written may wait in the page
    cache.
    """
    load = device.load(run)
    best, most = None, 0.0
    for user in window.once(users):
        read, written = user.read_in(run), user.written_in(run)
        if read > ALL_READ * load.read_bytes + SLACK_BYTES or (read < written and not load.write_bytes):
            continue
        moved = min(read, load.read_bytes) + min(written, load.write_bytes)
        waits = sum(waiter.counted.within(run) for waiter in _of_program(window, user))
        share = (moved / max(load.bytes, 1.0) + min(1.0, waits / max(load.requests, 1.0))) / 2
        if share > most:
            best, most = user, share
    moved = best.read_in(run) + best.written_in(run) if best else 0.0
    return best, max(most, min(1.0, moved / max(load.bytes, 1.0)))


def _is_its_own(window: Window, waiter: Waiter, user: User | None, run: Interval) -> bool:
    """Whether the waiter is the program itself, or does its work: a child like those that read and wrote for it."""
    if user is None:
        return False
    return waiter.program == user.program or (user.moved_by_children(window, run) and user.started(window, waiter.pid))


def _of_program(window: Window, user: User | None) -> Sequence[Waiter]:
    return window.once(waiters_by_program).get(user.program, ()) if user else ()


def explain(window: Window, disk: BusyDisk) -> Explanation:
    """The requests of the others queue behind those of the program."""
    device, run, user, culprit = disk.device, disk.run, disk.user, disk.culprit
    return Explanation(
        culprit=culprit,
        onset_ns=window.at(run.first),
        victims=tuple(waiter.entity for waiter in disk.victims[:5]),
        does=("is" if culprit == device.entity else f"keeps {device.name}")
        + f" busy {100 * disk.busy_share:.0f} % of the time",
        harm=f"waits {of_every_second(disk.victims[0].waited_in(run), run.seconds)} for it" if disk.victims else "",
        suffering_s=sum(waiter.waited_in(run) for waiter in disk.victims),
        path=path(
            *wait_claims(window, disk.victims, run),
            None if disk.victims else stall_claim(window, device, run),
            claim(
                f"{device.name} was busy {100 * disk.busy_share:.0f} % of {run.seconds} s, "
                f"with {disk.queue:.1f} requests under way",
                shown_of_device(window, device, run, Block.io_ticks),
                shown_of_device(window, device, run, Block.time_in_queue),
            ),
            _use_claim(window, user, run),
        ),
        refuted_by=f"the others wait as long for {device.name} when {culprit.name} does not run",
        outlook=f"every program that needs {device.name} is slow while this goes on",
        actions=_actions(disk),
    )


def _use_claim(window: Window, user: User | None, run: Interval) -> Step | None:
    """What a path says of the program: what it did most, read or write."""
    if user is None:
        return None
    read, written = user.read_in(run), user.written_in(run)
    did, amount, shown = ("read", read, user.shown_reads) if read >= written else ("wrote", written, user.shown_writes)
    processes = f" in {len(user.members)} processes" if len(user.members) > 1 else ""
    return claim(f"meanwhile {user.comm}{processes} {did} {quantity(amount / run.seconds, 'B/s')}", *shown(window, run))


def _actions(disk: BusyDisk) -> tuple[Proposal, ...]:
    culprit, device = disk.culprit, disk.device.name
    if culprit.kind == "device":
        return (LOOK.on(culprit, f"see who keeps {device} busy: iotop, or `kernelsight top`"),)
    return (
        IONICE.on(culprit, f"give {culprit.name} the idle class of I/O, so that it yields"),
        LIMIT_IO.on(culprit, f"limit what the control group of {culprit.name} may ask of {device}", device=device),
    )


MECHANISM = Mechanism[BusyDisk](
    fault=DISK_SATURATION,
    summary="A program asks so much of a device that requests queue, and other programs wait behind them.",
    measure=measure,
    prior=Prior(
        1.5,
        because="judged: only a device that is busy nearly all the time is a suspect, which a healthy one seldom is "
        "for long",
    ),
    checks=(
        Check(
            id="others_wait",
            says="processes of other programs wait for the device",
            holds=lambda disk: bool(disk.victims) or (disk.stalled_share or 0) >= STALLED_SHARE,
            supports=2.0,
            refutes=1.0,
            because="judged: it is the harm that the fault does; without victims the program may still be its own, as "
            "its tasks wait for each other (recorded: `more_files_than_fit`, whose disk nobody else needs)",
        ),
        Check(
            id="wants_more",
            says="more requests queue than one sequential task makes",
            holds=lambda disk: disk.waiting_tasks >= RIVALS or disk.has_deep_queue,
            supports=1.5,
            refutes=2.5,
            because="judged: a copy or a backup in sequence keeps a disk busy, too, and leaves room for others; long "
            "queues of dirty pages are written while nobody waits (recorded: `commits_beside_bulk_writes`), and a deep "
            "queue that only its own single task waits for is read-ahead (recorded: `searches_file_by_file`)",
        ),
        Check(
            id="one_program",
            says="one program does most of what the device does",
            holds=lambda disk: disk.user_share >= MOST_SHARE,
            supports=1.0,
            refutes=1.5,
            because="judged: else several programs make the load, and to stop one of them helps little",
        ),
        Check(
            id="answers_as_usual",
            says="a single request takes no longer than usual on such a device",
            holds=lambda disk: not disk.answers_slowly,
            supports=0.5,
            refutes=4.0,
            because="judged: a slow device is busy at any load, and stays so without the program: `disk_latency` "
            "(recorded: `slow_device_under_a_log`)",
        ),
        Check(
            id="delays_no_commits",
            says="no commits of others wait for the dirty pages of the program",
            holds=lambda disk: not disk.delays_commits,
            supports=0.5,
            refutes=3.0,
            because="judged: such commits wait for the journal and not for a turn at the device: `fsync_stall` "
            "(recorded: `commits_beside_bulk_writes`, `log_beside_a_copy`)",
        ),
    ),
    explain=explain,
)
