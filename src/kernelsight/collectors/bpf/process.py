"""Processes, from the kernel's own list of tasks (iter/task): the source of choice for `process`."""

from __future__ import annotations

import math
import os
from collections.abc import Iterable

import msgspec

from kernelsight.collectors.base import Host, collector
from kernelsight.collectors.bpf import objects
from kernelsight.collectors.bpf.btf import Btf
from kernelsight.collectors.bpf.columns import Columns, made
from kernelsight.collectors.bpf.layout import Records
from kernelsight.collectors.bpf.libbpf import Object
from kernelsight.collectors.clock import NS_PER_S
from kernelsight.collectors.delay_accounting import DelayAccounting
from kernelsight.collectors.executables import Executables
from kernelsight.collectors.files import read_once
from kernelsight.collectors.own_io import Account, OwnIo
from kernelsight.collectors.privileges import OTHERS_PROCESSES, limits_on_others
from kernelsight.collectors.procfs.cgroup_paths import find_mounts
from kernelsight.collectors.procfs.process_text import Groups, parse_cgroup
from kernelsight.collectors.selection import Selection
from kernelsight.collectors.time_namespace import offsets
from kernelsight.events.declare import INT64_MAX
from kernelsight.events.process import Process

_SOCKETS_EVERY_NS = 10 * NS_PER_S
_GROUP_EVERY_NS = 5 * NS_PER_S
_MOST_GROUPS = 10_000

_KERNEL_THREAD = 0x00200000  # PF_KTHREAD, include/linux/sched.h
_MOST_CPUS = 64  # EXACT_CPUS of tasks.bpf.c
_NS_PER_MS = 1_000_000
_NS_PER_TICK = 10_000_000  # USER_HZ is 100 on every architecture we run on
_PAGE_KB = os.sysconf("SC_PAGE_SIZE") // 1024


class _Task(msgspec.Struct, gc=False):
    """What of a process's record (struct record of tasks.bpf.c) says more than one column; times in ns."""

    start_boottime: int
    pid: int
    ppid: int
    utime: int
    stime: int
    runtime: int
    cgroup_id: int
    ended_runtime: int
    children_switches: int


def state_letter(state: int, exit_state: int) -> str:
    """The letter of /proc/PID/stat for a task's state (get_task_state, fs/proc/array.c)."""
    if state & 0x402 == 0x402:  # TASK_IDLE: uninterruptible, but no load
        return "I"
    if state & 0x9000:  # TASK_RTLOCK_WAIT, TASK_FROZEN
        return "D"
    return "RSDTtXZP"[((state | exit_state) & 0x7F).bit_length()]


def split_time(utime: int, stime: int, runtime: int) -> tuple[int, int]:
    """User and system time (ns) as /proc/PID/stat shows them.

    The scheduler knows exactly how long a process ran; how that divides is sampled by ticks
    (cputime_adjust, kernel/sched/cputime.c).
    """
    if stime == 0:
        return runtime, 0
    if utime == 0:
        return 0, runtime
    system = stime * runtime // (stime + utime)
    return runtime - system, system


class CpuTimes:
    """User and system time of processes (ns), neither of which ever falls.

    The division by ticks alone goes back and forth by some milliseconds, and a counter that falls is
    taken for one that began again. So no part may be less than it was (cputime_adjust, kernel/sched/cputime.c).
    """

    def __init__(self) -> None:
        self._last: dict[tuple[int, int], tuple[int, int]] = {}

    def split(self, key: tuple[int, int], ticked: tuple[int, int], runtime: int) -> tuple[int, int]:
        """User and system time of a process now.

        Args:
            key: what tells the process from all others.
            ticked: its user and system time by ticks, which say how to divide.
            runtime: what it has run in all.
        """
        if len(self._last) > 50_000:  # processes come and go
            self._last.clear()
        last_user, last_system = self._last.get(key, (0, 0))
        user, system = split_time(*ticked, runtime)
        if system < last_system:
            user, system = max(runtime - last_system, last_user), last_system
        elif user < last_user:
            user, system = last_user, max(runtime - last_user, last_system)
        self._last[key] = (user, system)
        return user, system


class ProcessGroups:
    """The control groups of processes, as /proc/PID/cgroup has them, without asking again and again.

    Where there is only version 2, its ids tell groups apart and each is asked for once, of a process that
    is in it. Where version 1 has controllers, each process is asked, and again at times: it may be moved.
    """

    def __init__(self, host: Host) -> None:
        self._proc = host.proc
        self._monotonic_ns = host.monotonic_ns
        self._in_v1 = any(mount.controllers for mount in find_mounts(host))
        self._known: dict[tuple[int, int], tuple[float, Groups]] = {}

    def of(self, record: _Task) -> Groups:
        """The groups of a process; None for each when it has ended."""
        key = (record.start_boottime, record.pid) if self._in_v1 else (0, record.cgroup_id)
        moment = self._monotonic_ns()
        due, groups = self._known.get(key, (moment, Groups(None, None, None, None)))
        if moment < due:
            return groups
        text = read_once(self._proc / str(record.pid) / "cgroup")
        if text:
            groups = parse_cgroup(text)
            if len(self._known) > _MOST_GROUPS:  # groups and processes come and go
                self._known.clear()
            self._known[key] = (moment + _GROUP_EVERY_NS if self._in_v1 else math.inf, groups)
        return groups


def _kb(flags: int, *pages: int) -> int | None:
    """Memory of a process; kernel threads have none rather than nothing of it."""
    return None if flags & _KERNEL_THREAD else sum(pages) * _PAGE_KB


def _delay(known: int, delay: int) -> int | None:
    return delay if known else None


def _descriptors(count: int) -> int | None:
    return None if count > INT64_MAX else count  # not known, or without a limit


_EVENTS = Columns(
    Process,
    "record",
    apart=("seen", "complete", "utime", "stime", "runtime", "io", "ended_io", "ended_runtime", "children_switches"),
    state=made(state_letter, "state", "exit_state"),
    frozen=made(bool, "frozen"),
    start_ticks=made(lambda start: (start + offsets().boot_ns) // _NS_PER_TICK, "start_boottime"),
    rss_kb=made(_kb, "flags", "file_pages", "anon_pages", "shared_pages"),
    anon_kb=made(_kb, "flags", "anon_pages"),
    swap_kb=made(_kb, "flags", "swap_pages"),
    vsize_kb=made(_kb, "flags", "vsize_pages"),
    fds=made(_descriptors, "fds"),
    sockets=made(_descriptors, "sockets"),
    fd_limit=made(_descriptors, "fd_limit"),
    blkio_delay_ns=made(_delay, "delays_known", "blkio_delay_ns"),
    swapin_delay_ns=made(_delay, "delays_known", "swapin_delay_ns"),
    reclaim_delay_ns=made(_delay, "delays_known", "reclaim_delay_ns"),
    thrashing_delay_ns=made(_delay, "delays_known", "thrashing_delay_ns"),
)


class _Reader:
    """What is read of the records, as bpf/tasks.bpf.c lays them out."""

    def __init__(self, types: Btf) -> None:
        self._layout = layout = types.layout("record")
        self.size = layout.size
        self.events = _EVENTS.of(types)
        self.tasks = Records(layout, _Task)
        self.pid = slice(layout["pid"].offset, layout["pid"].end)
        self.key = slice(0, layout["pid"].end)  # start time and pid
        self.moves = slice(0, layout["sockets"].offset)
        self._live = layout.struct(layout.nested("io"))
        self._ended = layout.struct(layout.nested("ended_io"))

    def split(self, written: bytes) -> dict[bytes, bytes]:
        """The records, by what tells each process from all others."""
        key, size = self.key.stop, self.size
        return {written[at : at + key]: written[at : at + size] for at in range(0, len(written), size)}

    def resident_pages(self, written: bytes) -> list[int]:
        """How many pages of each process are in memory."""
        parts = (self._layout.column(name, written) for name in ("file_pages", "anon_pages", "shared_pages"))
        return list(map(sum, zip(*parts, strict=True)))

    def account(self, record: bytes, task: _Task) -> Account:
        """Its I/O; a thread that ends has run, and a child that is waited for has switched at its end."""
        return Account(
            self._live.unpack(record), self._ended.unpack(record), task.ended_runtime, task.children_switches
        )


@collector(source="bpf", emits=(Process,), rank=10, needs=OTHERS_PROCESSES)
class TasksCollector:
    """Processes, read in one pass over the kernel's tasks, about a microsecond each.

    The same events as the source `procfs`. The program adds up the threads, those that have ended
    included. Names of kernel workers are without what /proc adds to them.
    """

    def __init__(self, host: Host) -> None:
        cpus = os.cpu_count() or 1
        self._object = Object(
            objects.image("tasks"), "tasks", settings={"exact_cpus": cpus if cpus <= _MOST_CPUS else 0}
        )
        try:
            self._object.iterate("tasks")
        except BaseException:
            self._object.close()
            raise
        self._reader = _Reader(self._object.types)
        self._unfinished = self._object.map("unfinished")
        self._pending = self._object.variable("pending")
        self._lost = self._object.variable("lost")
        self._with_sockets = self._object.variable("with_sockets")
        self._monotonic_ns = host.monotonic_ns
        self._sockets_due = 0
        self._groups = ProcessGroups(host)
        self._times = CpuTimes()
        self._selection: Selection[bytes] = Selection()
        self._own_io: OwnIo[bytes] = OwnIo()
        self._executables: Executables[bytes] = Executables(host.proc)
        self._on_others = limits_on_others("executables", host.proc)
        self._delays = DelayAccounting(host.proc, enable=bool(host.options.get("enable_delayacct")))

    @property
    def limitations(self) -> list[str]:
        """The executables, where they cannot be read, and the delays, where they are not counted."""
        return [*self._on_others, *([self._delays.reason] if self._delays.reason else [])]

    @property
    def lost(self) -> int:
        """Processes that had no record because too many had threads."""
        return self._lost.value

    def collect(self, now: int) -> Iterable[Process]:
        """The processes that moved, the largest, and each once a minute."""
        moment = self._monotonic_ns()
        self._with_sockets.value = moment >= self._sockets_due
        if moment >= self._sockets_due:
            self._sockets_due = moment + _SOCKETS_EVERY_NS
        written = self._read()
        records = self._reader.split(written)
        resident = self._reader.resident_pages(written)
        moves = self._reader.moves
        chosen = self._selection.choose(
            moment,
            {key: (record[moves], pages) for (key, record), pages in zip(records.items(), resident, strict=True)},
        )
        self._own_io.look(records.keys())
        self._executables.look(records.keys())
        lines = [records[key] for key in chosen]
        events = self._reader.events(now, lines)
        for key, record, task, event in zip(chosen, lines, self._reader.tasks.listed(lines), events, strict=True):
            self._complete(event, task, key, self._reader.account(record, task))
            if event.vsize_kb is not None:  # a thread of the kernel runs no file
                event.exe = self._executables.of(key, task.pid, event.comm, moment)
        return events

    def close(self) -> None:
        """Remove the program from the kernel, and put `kernel.task_delayacct` back."""
        self._object.close()
        self._delays.restore()

    def _read(self) -> bytes:
        written = self._object.iterate("tasks")
        if not self._pending.value:
            return written
        # Threads that began or ended during the pass; a rest without its main thread describes nobody.
        _, rest = self._unfinished.drain()
        self._pending.value = 0
        size, pid = self._reader.size, self._reader.pid
        rests = (rest[at : at + size] for at in range(0, len(rest), size))
        return written + b"".join(record for record in rests if any(record[pid]))

    def _complete(self, event: Process, task: _Task, key: bytes, account: Account) -> None:
        """Fill in what the record alone does not say."""
        utime, stime = self._times.split((task.start_boottime, task.pid), (task.utime, task.stime), task.runtime)
        event.utime_ms, event.stime_ms = utime // _NS_PER_MS, stime // _NS_PER_MS
        io, event.children_read_bytes, event.children_write_bytes = self._own_io.divide(
            key, task.pid, task.ppid, account
        )
        event.read_bytes, event.write_bytes = io.read_bytes, io.write_bytes
        event.cancelled_write_bytes = io.cancelled_write_bytes
        event.read_chars, event.write_chars = io.read_chars, io.write_chars
        event.read_syscalls, event.write_syscalls = io.read_syscalls, io.write_syscalls
        groups = self._groups.of(task)
        event.cgroup, event.memory_cgroup, event.io_cgroup = groups.path, groups.memory_path, groups.io_path
