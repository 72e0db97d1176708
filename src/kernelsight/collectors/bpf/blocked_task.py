"""Threads that have hung in the kernel for more than a second, and what they hang on (bpf/blocked_tasks.h)."""

from __future__ import annotations

import os
import re
from collections.abc import Iterable, Iterator, Sequence
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from queue import SimpleQueue
from typing import TypeAlias

import msgspec

from kernelsight.collectors.background_reads import BackgroundReads
from kernelsight.collectors.base import Host, collector
from kernelsight.collectors.bpf.columns import Columns, made
from kernelsight.collectors.bpf.file_calls import ON_A_DESCRIPTOR, ON_A_PATH, ON_A_PATH_AT
from kernelsight.collectors.bpf.layout import Records
from kernelsight.collectors.bpf.syscall_names import COMPAT, name_of, on_its_abi
from kernelsight.collectors.bpf.threads import MS, Feature, join
from kernelsight.collectors.privileges import OTHERS_PROCESSES, limits_on_others
from kernelsight.collectors.text import fixed_name
from kernelsight.events.declare import Event
from kernelsight.events.scheduler import BlockedTask
from kernelsight.linux.mounts import parse_mounts

_LONG_NS = 1_000_000_000
_Sleep: TypeAlias = tuple[int, int, int]
_UNINTERRUPTIBLE = 2  # enum state in bpf/threads.h
_WAITS_FOR_SERVER = "request_wait_answer"
"""Of FUSE (fs/fuse/dev.c): only an answer ends it, or a signal that comes before the server has seen the request."""

# Every sleeper goes through these functions (kernel/sched: in_sched_functions), so they say nothing.
_SCHEDULING = re.compile(
    r"(__)?schedule(_\w+)?|io_schedule(_\w+)?|(__)?wait_for_(common|completion)(_\w+)?|wait_for_completion\w*"
    r"|(__)?mutex_lock(_\w+)?|rwsem_down_\w+|down_(read|write)(_\w+)?|(__)?down(_\w+)?|(out_of_line_)?wait_on_bit\w*"
    r"|__wait_on_bit\w*|bit_wait\w*|folio_wait_bit\w*"
)
_AT_FDCWD = 0xFFFFFF9C  # of include/uapi/linux/fcntl.h, as 32 bits without a sign
_PATH_MAX = 4096
_PATIENCE_S = 0.02
"""How long the other collectors wait for the paths of tasks that have just begun to hang, once."""
# Kernel threads that serve one device carry its name.
_SERVES_DEVICE = re.compile(r"jbd2/(?P<journal>[\w!-]+)-\d+|xfs[\w-]*/(?P<xfs>[\w!-]+)|(?P<loop>loop\d+)")


class Record(msgspec.Struct, gc=False):
    """One thread as the scan saw it; times in ns on the monotonic clock, `off_at` 0 if it is not known."""

    now: int
    off_at: int
    switches: int
    start_time: int
    arg0: int
    tid: int
    call: int
    frames: int
    state: int
    comm: bytes


@dataclass(frozen=True, slots=True)
class Blocked:
    """One thread that sleeps, and the functions of the kernel that it sleeps in, innermost first."""

    record: Record
    stack: tuple[str, ...]
    raw: bytes
    """The record as the kernel's program wrote it."""

    @property
    def hangs(self) -> bool:
        """Whether it waits for what the kernel or a file system does, and for nothing that a program may send."""
        return self.record.state == _UNINTERRUPTIBLE or _WAITS_FOR_SERVER in self.stack

    @property
    def sleep(self) -> _Sleep:
        """Which sleep of which thread it is: the thread, and how often it has slept before."""
        return self.record.tid, self.record.start_time, self.record.switches


def parse_blocked(records: Records[Record], data: bytes) -> Iterator[Blocked]:
    """What the iterator wrote: for every thread a fixed record and one line for each frame of its kernel stack."""
    at = 0
    while at < len(data):
        record, raw = records.at(data, at), data[at : at + records.size]
        at += records.size
        stack = []
        for _ in range(record.frames):
            end = data.index(b"\n", at)
            stack.append(data[at:end].decode("ascii", "replace").split("+0x", 1)[0])
            at = end + 1
        yield Blocked(record, tuple(stack), raw)


def _number(call: int) -> int | None:
    return on_its_abi(call) if call >= 0 else None


BLOCKED = Columns(
    BlockedTask,
    "blocked",
    apart=("now", "off_at", "switches", "start_time", "arg0", "frames", "state"),
    syscall_nr=made(_number, "call"),
    syscall_name=made(name_of, "call"),
)


def wait_channel(stack: Iterable[str]) -> str | None:
    """The innermost function that is not about sleeping as such."""
    return next((frame for frame in stack if not _SCHEDULING.fullmatch(frame)), None)


def served_device(comm: str) -> str | None:
    """The block device that a kernel thread serves, by its name."""
    match = _SERVES_DEVICE.fullmatch(comm)
    return match[match.lastgroup] if match and match.lastgroup else None


def devices_of_mounts(mountinfo: bytes) -> dict[str, str]:
    """Mount point to `major:minor`, from /proc/PID/mountinfo; of mounts over each other the last."""
    mounts = parse_mounts(mountinfo.splitlines())
    return {os.fsdecode(mount.point): mount.device_number.decode() for mount in mounts}


def mount_of(path: str, mounts: Iterable[str]) -> str | None:
    """The mount point that a path lies under."""
    under = (mount for mount in mounts if path == mount or path.startswith(mount.rstrip("/") + "/"))
    return max(under, key=len, default=None)


def path_argument(process: Path, call: int) -> str | None:
    """The path that a blocked thread's call is about, as its root has it; symbolic links in it are not followed.

    Args:
        process: its directory in /proc.
        call: the number of the call, of those that take a path; None is returned if it is in another one by now.

    Raises:
        OSError: the thread is gone, or may not be read.
    """
    words = (process / "syscall").read_text().split()  # number, six arguments, stack and program counter
    if len(words) < 4 or int(words[0]) != call % COMPAT:
        return None  # it runs
    at = call in ON_A_PATH_AT
    start, address = int(words[1], 16) & 0xFFFFFFFF, int(words[2 if at else 1], 16)
    with (process / "mem").open("rb", buffering=0) as memory:
        memory.seek(address)
        path = os.fsdecode(memory.read(_PATH_MAX).split(b"\0", 1)[0])
    base = process / (f"fd/{start}" if at and start != _AT_FDCWD else "cwd")
    whole = path if path.startswith("/") else f"{base.readlink()}/{path}"
    return os.path.normpath("/" + whole.lstrip("/"))


@collector(formerly="blocked_tasks", source="bpf", emits=(BlockedTask,), needs=OTHERS_PROCESSES)
class BlockedTasks:
    """Threads that have slept uninterruptibly, or waited for a server of FUSE, for more than a second, and what for."""

    def __init__(self, host: Host) -> None:
        self._host = host
        self._threads = join(Feature.BLOCKED_TASKS, host)
        self._records = Records(self._threads.object.types.layout("blocked"), Record)
        self._fill = BLOCKED.of(self._threads.object.types)
        self._since: dict[_Sleep, int] = {}
        self._paths: dict[_Sleep, str | None] = {}
        self._read: SimpleQueue[tuple[_Sleep, str | None]] = SimpleQueue()
        self._aside = BackgroundReads(self._read_paths)
        self.limitations = limits_on_others("device and mount_point", host.proc)

    def collect(self, now: int) -> Iterable[Event]:
        """The threads that are blocked now."""
        since = {}
        long = []
        for task in parse_blocked(self._records, self._threads.object.iterate("scan_blocked")):
            if not task.hangs:
                continue
            # Without the switch hook: blocked at least since a scan found it after as many switches.
            sleep = task.sleep
            since[sleep] = task.record.off_at or self._since.get(sleep, task.record.now)
            if task.record.now - since[sleep] >= _LONG_NS:
                long.append(task)
        self._since = since
        self._learn_paths(long)
        events = self._fill(now, [task.raw for task in long])
        for task, event in zip(long, events, strict=True):
            event.blocked_ms = (task.record.now - since[task.sleep]) / MS
            event.wchan = wait_channel(task.stack)
            event.stack = ";".join(task.stack) or None
            event.mount_point, event.device = self._place(task)
        return events

    def close(self) -> None:
        """Leave the programs."""
        self._aside.close()
        self._threads.close()

    def _learn_paths(self, long: Sequence[Blocked]) -> None:
        """Find out which paths calls are about, once for each sleep.

        The memory of a thread can be locked by whatever another thread of it hangs on, so it is read aside.
        """
        about = {task.sleep: task for task in long if task.record.call in ON_A_PATH or task.record.call in ON_A_PATH_AT}
        self._paths = {sleep: path for sleep, path in self._paths.items() if sleep in about}
        unknown = [task for sleep, task in about.items() if sleep not in self._paths]
        patience_s = 0.0
        if unknown and not self._aside.is_busy:
            self._aside.ask(unknown)
            patience_s = _PATIENCE_S
        done = self._aside.answer(patience_s)
        while not self._read.empty():
            sleep, path = self._read.get()
            self._paths[sleep] = path
        if done is not None and done.error is not None:
            raise done.error

    def _read_paths(self, tasks: Sequence[Blocked]) -> None:
        for task in tasks:
            path = None
            with suppress(OSError):  # it may have ended, or nobody may read it
                path = path_argument(self._host.proc / str(task.record.tid), task.record.call)
            self._read.put((task.sleep, path))

    def _place(self, task: Blocked) -> tuple[str | None, str | None]:
        """The mount and the device that a thread's call is about; only links are read, which cannot hang."""
        process = self._host.proc / str(task.record.tid)
        with suppress(OSError):  # it may have ended, or closed the file
            path = self._paths.get(task.sleep)
            if path is None and task.record.call in ON_A_DESCRIPTOR:
                path = str((process / "fd" / str(task.record.arg0 & 0xFFFFFFFF)).readlink())
            if path is None:
                return None, served_device(fixed_name(task.record.comm))
            name = Path(path).name
            if path.startswith("/dev/") and (self._host.sys / "class/block" / name).is_symlink():
                return None, name
            mounts = devices_of_mounts((process / "mountinfo").read_bytes())
            mount = mount_of(path.removesuffix(" (deleted)"), mounts)
            return mount, self._device(mounts[mount]) if mount else None
        return None, None

    def _device(self, number: str) -> str | None:
        with suppress(OSError):
            return (self._host.sys / "dev/block" / number).readlink().name
        return None
