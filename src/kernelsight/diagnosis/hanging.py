"""Tasks that hang: in uninterruptible sleep for storage that does not answer."""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from typing import Literal

from kernelsight.diagnosis.devices import Device, devices
from kernelsight.diagnosis.kernel_log import messages, of_device, said
from kernelsight.diagnosis.mechanism import Check, Explanation, claim
from kernelsight.diagnosis.model import Entity, Step
from kernelsight.diagnosis.processes import named
from kernelsight.diagnosis.remedies import LOOK
from kernelsight.diagnosis.storage import FILE_CALLS, is_of
from kernelsight.diagnosis.threshold import Threshold
from kernelsight.diagnosis.window import NS_PER_S, Interval, Window, grouped_by, runs
from kernelsight.events.block import Block
from kernelsight.events.kernel_message import KernelMessage
from kernelsight.events.scheduler import BlockedTask
from kernelsight.quantities import quantity
from kernelsight.signals.rules.scheduler import BLOCKED_S

HANGS_MS = Threshold(
    1.25 * 1e3 * BLOCKED_S,
    "ms",
    because="judged: some requests of a busy disk take a second, and none this long. A quarter more than the signal "
    "`blocked_task` is raised for, as this says that storage does not answer at all",
)
STUCK_S = Threshold(
    3, "s", because="judged: some requests of a healthy device take a second, and then the next ones are done"
)
BUSY_SHARE = Threshold(
    0.5,
    "share of the time",
    because="judged: where some device is busy for as long and gets requests done, a task may wait for what it does",
)
_STILL_NS = 2 * NS_PER_S
"""Samples are a second apart and take their time to the store: a task that still hangs was seen so lately."""
_OF_STORAGE = re.compile(
    r"\b(io_schedule|blk_|bio_|submit_bio|bdev_|blkdev_|iomap_|vfs_|do_fsync|ext[234]_|jbd2_|xfs_|btrfs_|f2fs_|fuse_|nfs\d?_|rpc_|cifs_"
    r"|sb_start_|mnt_want_write|percpu_rwsem_wait|thaw_super|freeze_|folio_wait|filemap_|writeback|request_wait_answer)"
)
_OTHER_WAITS = re.compile(r"vfork|futex|coredump|ptrace|refrigerator|rcu|module|bpf|unregister_netdev")
"""Functions of waits that are uninterruptible and not for storage: vfork(2) sleeps so until its child has begun."""
_FROZEN = re.compile(r"percpu_rwsem_wait|percpu_down|sb_start_|thaw_super")
"""Where writers wait for a frozen file system (Documentation/filesystems/, fsfreeze(8)): on a lock, not on a device."""
_SERVED = re.compile(r"request_wait_answer|fuse_|rpc_|nfs\d?_|cifs_|smb\d?_|v?9p_|p9_|ceph_")
"""Where tasks wait for a file system that a program or another machine serves: no device here has a part in it."""

Cause = Literal["frozen", "served", "other"]
"""What tasks wait for by where they sleep: a frozen file system, the server of one, anything else."""


@dataclass(frozen=True, slots=True)
class Hanging:
    """Tasks that hang on one device or mount, or a device that gets nothing done."""

    cause: Cause
    place: str
    """The device or mount; empty where it is not known."""
    mounts: Sequence[str]
    is_idle: bool
    """What they wait for gets nothing done meanwhile."""
    calls_storage: bool
    """They wait in calls on files or devices, or requests are under way."""
    onset_ns: int
    rows: Sequence[BlockedTask]
    device: Device | None
    stuck: Interval | None
    """The stretch, up to the end of the window, in which the device completed no request that it had."""

    @property
    def place_is_known(self) -> bool:
        """Whether it is known what they wait for."""
        return bool(self.place or self.mounts)

    @property
    def culprit(self) -> Entity:
        """The mount where it is the file system that hangs, else the device; storage as such where neither is known."""
        if self.mounts and (self.cause == "frozen" or self.device is None):
            return Entity("mount", self.mounts[0], self.mounts[0])
        return Entity("device", self.place, self.place) if self.place else Entity("machine", "storage", "storage")


def hanging(window: Window) -> Sequence[Hanging]:
    """The devices and mounts on which tasks hang. Use with :meth:`Window.once`."""
    return list(_hanging(window))


def _hanging(window: Window) -> Iterator[Hanging]:
    rows = _tasks(window)
    stuck = {name: run for name, device in window.once(devices).items() if (run := _stuck(device)) is not None}
    by_place = grouped_by(rows, _place)
    nowhere = by_place.pop("", [])
    for place in sorted({*stuck, *by_place}):
        yield _on(window, place, by_place.get(place, []), stuck.get(place))
    if nowhere and not by_place and not stuck:
        yield _on(window, "", nowhere, None)


def _on(window: Window, place: str, rows: Sequence[BlockedTask], stuck: Interval | None) -> Hanging:
    device = next((device for device in window.once(devices).values() if place and is_of(place, device.name)), None)
    frozen = bool(rows) and all(_FROZEN.search(_where(row)) for row in rows)
    served = device is None and bool(rows) and all(_SERVED.search(_where(row)) for row in rows)
    began = [*map(_began, rows), *([window.at(stuck.first)] if stuck else [])]
    return Hanging(
        cause="frozen" if frozen else "served" if served else "other",
        place=place,
        mounts=sorted({row.mount_point for row in rows if row.mount_point}),
        is_idle=stuck is not None or served or _gets_nothing_done(window, device, rows, 2 if frozen else 1),
        calls_storage=stuck is not None or any(map(_is_for_storage, rows)),
        onset_ns=max(min(began), window.when.start_ns),
        rows=rows,
        device=device,
        stuck=stuck,
    )


def _tasks(window: Window) -> list[BlockedTask]:
    """The samples of tasks that hang, of the sleep that they are in, and that still did at the last look."""
    rows = [row for row in window.rows(BlockedTask) if row.blocked_ms is not None]
    last = max((row.timestamp for row in window.rows(Block) or rows), default=0)
    hang: list[BlockedTask] = []
    for of_task in grouped_by(rows, lambda row: row.tid).values():
        latest = of_task[-1]
        hangs = (latest.blocked_ms or 0) >= HANGS_MS and latest.timestamp >= last - _STILL_NS
        if hangs and not _OTHER_WAITS.search(_where(latest)):
            hang += [row for row in of_task if abs(_began(row) - _began(latest)) < NS_PER_S]
    return hang


def _began(row: BlockedTask) -> int:
    """When the sleep of a blocked task began."""
    return int(row.timestamp - (row.blocked_ms or 0) * 1e6)


def _where(row: BlockedTask) -> str:
    """The functions of the kernel in which a task sleeps, or the innermost one."""
    return row.stack or row.wchan or ""


def _place(row: BlockedTask) -> str:
    return row.device.removeprefix("/dev/") if row.device else row.mount_point or ""


def _is_for_storage(row: BlockedTask) -> bool:
    return bool(_OF_STORAGE.search(_where(row))) or row.syscall_name in FILE_CALLS


def _stuck(device: Device) -> Interval | None:
    """The stretch, up to the end of the window, in which a device had something to do and got nothing done."""
    stretches = runs({second: float(load.is_stuck) for second, load in device.loads.items()}, bool, least=int(STUCK_S))
    last = max(device.loads, default=0)
    return stretches[-1] if stretches and stretches[-1].last >= last - 1 else None


def _gets_nothing_done(window: Window, device: Device | None, rows: Sequence[BlockedTask], after: int) -> bool:
    """Whether no request of a device was done while tasks waited for it; of all, where it is not known which one.

    Not before so many seconds have begun: requests that are under way are done first, and all dirty pages are written
    before a file system is frozen.
    """
    inside = Interval(window.second_at(min(map(_began, rows))) + after, window.second(rows[-1]))
    if device is not None:
        return device.load(inside).requests == 0
    loads = [other.load(inside) for other in window.once(devices).values()]
    return not any(load.requests and load.busy_share >= BUSY_SHARE for load in loads)


def explanation(window: Window, suspect: Hanging, *claims: Step | None, does: str, action: str) -> Explanation:
    """Tasks wait without end, and others that need the same file system join them."""
    tasks = grouped_by(suspect.rows, lambda row: row.tid)
    victims = dict.fromkeys(named(window, row.pid or 0) for row in suspect.rows)
    first = suspect.rows[0].pid if suspect.rows else None  # a device may be stuck while no task is seen to wait
    hung_ms = max((row.blocked_ms or 0 for row in suspect.rows if row.pid == first), default=0)
    steps = (*_task_claims(window, list(tasks.values())[:3]), *claims, *_said(window, suspect))
    return Explanation(
        culprit=suspect.culprit,
        onset_ns=suspect.onset_ns,
        victims=tuple(victims)[:5],
        does=does,
        harm=f"has hung for {quantity(hung_ms, 'ms')} and cannot be ended" if victims else "",
        suffering_s=sum(max(row.blocked_ms or 0 for row in of_task) / 1e3 for of_task in tasks.values()),
        path=tuple(step for step in steps if step is not None),
        refuted_by=f"a read of {suspect.culprit.name} returns",
        outlook="these tasks cannot be ended, and all that needs the same file system joins them",
        actions=(LOOK.on(suspect.culprit, action),),
    )


def _task_claims(window: Window, tasks: Iterable[Sequence[BlockedTask]]) -> Iterator[Step | None]:
    for rows in tasks:
        last = rows[-1]
        where = f" in {last.syscall_name or 'the kernel'}" + (f" ({last.wchan})" if last.wchan else "")
        yield claim(
            f"{last.comm} (thread {last.tid}) hangs for {(last.blocked_ms or 0) / 1e3:.1f} s{where}",
            window.evidence(rows, BlockedTask.blocked_ms, "max"),
        )


def _said(window: Window, suspect: Hanging) -> Iterator[Step | None]:
    """What the kernel said of these tasks, of whose lock one of them waits for, and of what they wait for."""
    tids = {row.tid for row in suspect.rows}
    hung = [row for row in messages(window, "hung_task") if row.pid in tids]
    yield from said(window, hung)
    for row in hung:
        if row.holder_pid is not None:
            yield claim(
                f"the kernel says that {row.holder_comm} (thread {row.holder_pid}) holds the lock that {row.comm} "
                f"(thread {row.pid}) waits for",
                window.evidence([row], KernelMessage.holder_pid, "last"),
            )
    yield from said(window, of_device(window, suspect.culprit.id, None, "device_timeout", "io_error"))
    if suspect.cause == "served":
        yield from said(window, messages(window, "server_not_responding"))


IDLE: Check[Hanging] = Check(
    id="is_idle",
    says="the storage that they wait for completes nothing meanwhile",
    holds=lambda suspect: suspect.is_idle,
    supports=2.5,
    refutes=4.0,
    because="judged: it is what the fault consists of; a device that gets requests done is slow or has much to do "
    "(`disk_latency`, `disk_saturation`), and a task may wait long for its turn",
)
PLACE_KNOWN: Check[Hanging] = Check(
    id="place_known",
    says="the device or mount that they wait for is known",
    holds=lambda suspect: suspect.place_is_known,
    supports=0.5,
    refutes=1.0,
    because="judged: a task that hangs on no known device or mount may wait for something else than storage",
)
CALLS_STORAGE: Check[Hanging] = Check(
    id="calls_storage",
    says="they wait in calls on files or devices",
    holds=lambda suspect: suspect.calls_storage,
    supports=0.5,
    refutes=3.0,
    because="judged: some drivers and threads of the kernel idle in uninterruptible sleep; a call on a file does not",
)
