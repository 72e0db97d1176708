"""Tasks that hang: in uninterruptible sleep for storage that does not answer."""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence

from kernelsight.diagnosis.candidate import Candidate
from kernelsight.diagnosis.devices import Device, devices, shown
from kernelsight.diagnosis.hypothesis import hypothesis
from kernelsight.diagnosis.model import Entity, Proposal
from kernelsight.diagnosis.processes import named
from kernelsight.diagnosis.scene import NS_PER_S, Row, Run, Scene, grouped, runs
from kernelsight.diagnosis.storage import FILE_CALLS, is_of
from kernelsight.events.block import Block

HANGS_MS = 2500.0
"""How long a task sleeps before it may be said to hang: some requests of a busy disk take a second, none this long."""
STUCK_S = 3
"""How long a device must have something to do and get nothing done."""
_AT_WORK = 0.5
"""Of the time, the share that some device is busy from which on a task may wait for what it gets done."""
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


@hypothesis("blocked_io")
def storage_does_not_answer(scene: Scene) -> Iterable[Candidate]:
    """Tasks sleep uninterruptibly for seconds, and the device or mount that they wait for gets nothing done."""
    hanging = _hanging(scene)
    known = scene.once(devices)
    stuck = {name: run for name, device in known.items() if (run := _stuck(device)) is not None}
    places = {_place(row) for row in hanging} - {None}
    for name in sorted({*stuck, *(place for place in places if place is not None)}):
        rows = [row for row in hanging if _place(row) == name]
        yield _candidate(scene, name, rows, stuck.get(name))
    nowhere = [row for row in hanging if _place(row) is None]
    if nowhere and not places and not stuck:
        yield _candidate(scene, "", nowhere, None)


def _candidate(scene: Scene, name: str, rows: Sequence[Row], stuck: Run | None) -> Candidate:
    tasks = grouped(rows, "tid")
    device = next((one for one in scene.once(devices).values() if name and is_of(name, one.name)), None)
    mounts = sorted({str(row["mount_point"]) for row in rows if row["mount_point"]})
    frozen = bool(rows) and all(_FROZEN.search(row["stack"] or row["wchan"] or "") for row in rows)
    culprit = _culprit(name, mounts, frozen=frozen, known=device is not None)
    began = [_began(row) for row in rows]
    onset = max(min([*began, *([scene.at(stuck.first)] if stuck else [])]), scene.when.start_ns)
    victims = {row["pid"]: named(scene, row["pid"]) for row in rows}
    candidate = Candidate("blocked_io", culprit, onset, tuple(victims.values())[:5])
    candidate.suffering_s = sum(max(row["blocked_ms"] for row in of) / 1e3 for of in tasks.values())
    served = device is None and bool(rows) and all(_SERVED.search(row["stack"] or row["wchan"] or "") for row in rows)
    idle = stuck is not None or served or _gets_nothing_done(scene, device, rows, 2 if frozen else 1)
    candidate.check(
        "tasks hang in uninterruptible sleep, or requests that nobody answers",
        holds=True,
        speaks_for=1.5,
        speaks_against=4.0,
    )
    candidate.check("what they wait for gets nothing done meanwhile", idle, 2.5, 4.0)
    candidate.check("it is known what they wait for", bool(name or mounts), 0.5, 1.0)
    candidate.check(
        "they wait in calls on files or devices", stuck is not None or any(map(_is_for_storage, rows)), 0.5, 3.0
    )
    for (tid,), of in list(tasks.items())[:3]:
        last = of[-1]
        where = f" in {last['syscall_name'] or 'the kernel'}" + (f" ({last['wchan']})" if last["wchan"] else "")
        candidate.step(
            f"{last['comm']} (thread {tid}) hangs for {last['blocked_ms'] / 1e3:.1f} s{where}",
            scene.evidence("blocked_task", of, "blocked_ms", "max"),
        )
    if device is not None and stuck is not None:
        candidate.step(
            f"{name} has requests under way for {stuck.seconds} s and completes none",
            shown(scene, device, stuck, Block.in_flight, "min"),
            shown(scene, device, stuck, Block.read_ios),
            shown(scene, device, stuck, Block.write_ios),
        )
    elif frozen:
        candidate.step(
            f"they wait for {culprit.name} to be thawed, not for its device",
            scene.evidence("blocked_task", rows, "blocked_ms", "count"),
        )
    elif served:
        candidate.step(
            f"they wait for the program or the machine that serves {culprit.name}",
            scene.evidence("blocked_task", rows, "blocked_ms", "count"),
        )
    candidate.refuted_by = f"a read of {culprit.name} returns"
    candidate.outlook = "these tasks cannot be ended, and all that needs the same file system joins them"
    text = f"see what {culprit.name} is made of, and why it does not answer"
    if frozen:
        text = f"thaw {culprit.name} (fsfreeze --unfreeze)"
    elif served:
        text = f"see why who serves {culprit.name} does not answer; umount --force ends the waits"
    candidate.actions = (Proposal("look", culprit, text),)
    return candidate


def _culprit(name: str, mounts: Sequence[str], *, frozen: bool, known: bool) -> Entity:
    """The mount where it is the file system that hangs, else the device; storage as such where neither is known."""
    if mounts and (frozen or not known):
        return Entity("mount", mounts[0], mounts[0])
    return Entity("device", name, name) if name else Entity("machine", "storage", "storage")


def _hanging(scene: Scene) -> list[Row]:
    """The samples of tasks that hang, of the sleep that they are in, and that still did at the last look."""
    rows = scene.rows("blocked_task")
    last = max((row["timestamp"] for row in scene.rows("block") or rows), default=0)
    found = []
    for of in grouped(rows, "tid").values():
        ends = of[-1]
        hangs = ends["blocked_ms"] >= HANGS_MS and ends["timestamp"] >= last - 2 * NS_PER_S
        if hangs and not _OTHER_WAITS.search(ends["stack"] or ends["wchan"] or ""):
            found += [row for row in of if abs(_began(row) - _began(ends)) < NS_PER_S]
    return found


def _began(row: Row) -> int:
    """When the sleep of a blocked task began."""
    return int(row["timestamp"] - row["blocked_ms"] * 1e6)


def _place(row: Row) -> str | None:
    return str(row["device"]).removeprefix("/dev/") if row["device"] else row["mount_point"]


def _is_for_storage(row: Row) -> bool:
    return bool(_OF_STORAGE.search(row["stack"] or row["wchan"] or "")) or row["syscall_name"] in FILE_CALLS


def _stuck(device: Device) -> Run | None:
    """The stretch, up to the end of the window, in which a device had something to do and got nothing done."""
    found = runs({second: float(load.is_stuck) for second, load in device.loads.items()}, bool, least=STUCK_S)
    last = max(device.loads, default=0)
    return found[-1] if found and found[-1].last >= last - 1 else None


def _gets_nothing_done(scene: Scene, device: Device | None, rows: Sequence[Row], after: int) -> bool:
    """Whether no request of a device was done while tasks waited for it; of all, where it is not known which one.

    Not before so many seconds have begun: what was under way is done first, and who freezes writes all that is dirty.
    """
    inside = Run(scene.second_at(min(map(_began, rows))) + after, scene.second(rows[-1]))
    if device is not None:
        return device.load(inside).requests == 0
    loads = [other.load(inside) for other in scene.once(devices).values()]
    return not any(load.requests and load.busy_share >= _AT_WORK for load in loads)
