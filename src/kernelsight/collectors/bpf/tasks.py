"""Processes, from the kernel's own list of tasks (iter/task): the source of choice for `process`."""

from __future__ import annotations

import math
import os
from collections.abc import Iterable
from struct import Struct
from typing import NamedTuple

from kernelsight.collectors.base import Host, collector
from kernelsight.collectors.bpf import objects
from kernelsight.collectors.bpf.libbpf import Object
from kernelsight.collectors.clock import NS_PER_S
from kernelsight.collectors.delay_accounting import DelayAccounting
from kernelsight.collectors.files import read_once
from kernelsight.collectors.own_io import Account, OwnIo
from kernelsight.collectors.privileges import OTHERS_PROCESSES
from kernelsight.collectors.procfs.cgroup_paths import find_mounts
from kernelsight.collectors.procfs.process_text import Groups, parse_cgroup
from kernelsight.collectors.selection import Selection
from kernelsight.collectors.text import fixed_name
from kernelsight.collectors.time_namespace import offsets
from kernelsight.events.process import Process
from kernelsight.events.unsigned import wrap_u64

# struct record of tasks.bpf.c
_RECORD = Struct("=QIIIIIIIIiIII16s19Q4q14Q")
_KEY_SIZE = 12  # start time and pid
_FILE_AT, _ANON_AT, _SHARED_AT = 28, 29, 31  # words of the record: what is resident of `pages`
_MOVES = slice(0, -8)  # all but `sockets`, which are not counted in every pass
_SOCKETS_EVERY_NS = 10 * NS_PER_S
_GROUP_EVERY_NS = 5 * NS_PER_S
_MOST_GROUPS = 10_000

_UNKNOWN = 2**64 - 1
_KERNEL_THREAD = 0x00200000  # PF_KTHREAD, include/linux/sched.h
_MOST_CPUS = 64  # EXACT_CPUS of tasks.bpf.c
_NS_PER_MS = 1_000_000
_NS_PER_TICK = 10_000_000  # USER_HZ is 100 on every architecture we run on
_PAGE_KB = os.sysconf("SC_PAGE_SIZE") // 1024


class Record(NamedTuple):
    """One process as the kernel's program wrote it; times in ns, memory in pages."""

    start_boottime: int
    pid: int
    seen: int
    complete: int
    ppid: int
    uid: int
    state: int
    exit_state: int
    flags: int
    nice: int
    threads: int
    delays_known: int
    unused: int
    comm: bytes
    utime: int
    stime: int
    runtime: int
    minor_faults: int
    major_faults: int
    voluntary: int
    involuntary: int
    read_chars: int
    write_chars: int
    read_syscalls: int
    write_syscalls: int
    read_bytes: int
    write_bytes: int
    cancelled_write_bytes: int
    cpu_delay: int
    blkio_delay: int
    swapin_delay: int
    reclaim_delay: int
    thrashing_delay: int
    file_pages: int
    anon_pages: int
    swap_pages: int
    shared_pages: int
    vsize_pages: int
    fds: int
    fd_limit: int
    cgroup_id: int
    ended_read_chars: int
    ended_write_chars: int
    ended_read_syscalls: int
    ended_write_syscalls: int
    ended_read_bytes: int
    ended_write_bytes: int
    ended_cancelled_write_bytes: int
    ended_runtime: int
    children_switches: int
    sockets: int

    @property
    def io(self) -> Account:
        """Its I/O; a thread that ends has run, and a child that is waited for has switched at its end."""
        live = (
            self.read_chars, self.write_chars, self.read_syscalls, self.write_syscalls,
            self.read_bytes, self.write_bytes, self.cancelled_write_bytes,
        )  # fmt: skip
        ended = (
            self.ended_read_chars, self.ended_write_chars, self.ended_read_syscalls, self.ended_write_syscalls,
            self.ended_read_bytes, self.ended_write_bytes, self.ended_cancelled_write_bytes,
        )  # fmt: skip
        return Account(live, ended, self.ended_runtime, self.children_switches)


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

    def of(self, record: Record) -> Groups:
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


@collector("process", source="bpf", emits=(Process,), rank=10, needs=OTHERS_PROCESSES)
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
        self._delays = DelayAccounting(host.proc, enable=bool(host.options.get("enable_delayacct")))

    @property
    def limitations(self) -> list[str]:
        """The delays, where they are not counted."""
        return [self._delays.reason] if self._delays.reason else []

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
        size, words = _RECORD.size, memoryview(written).cast("q")
        records = {written[at : at + _KEY_SIZE]: written[at : at + size] for at in range(0, len(written), size)}
        pages = zip(*(words[at :: size // 8] for at in (_FILE_AT, _ANON_AT, _SHARED_AT)), strict=True)
        moves = {
            key: (record[_MOVES], sum(resident)) for (key, record), resident in zip(records.items(), pages, strict=True)
        }
        chosen = self._selection.choose(moment, moves)
        self._own_io.look(records.keys())
        return [self._event(key, Record._make(_RECORD.unpack(records[key])), now) for key in chosen]

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
        size = _RECORD.size
        described = (at for at in range(0, len(rest), size) if any(rest[at + 8 : at + 12]))
        return written + b"".join(rest[at : at + size] for at in described)

    def _event(self, key: bytes, r: Record, now: int) -> Process:
        utime, stime = self._times.split((r.start_boottime, r.pid), (r.utime, r.stime), r.runtime)
        kernel = bool(r.flags & _KERNEL_THREAD)
        delays = bool(r.delays_known)
        io, children_read_bytes, children_write_bytes = self._own_io.divide(key, r.pid, r.ppid, r.io)
        groups = self._groups.of(r)
        return Process(
            now,
            pid=r.pid,
            ppid=r.ppid,
            uid=r.uid,
            comm=fixed_name(r.comm),
            state=state_letter(r.state, r.exit_state),
            threads=r.threads,
            nice=r.nice,
            start_ticks=(r.start_boottime + offsets().boot_ns) // _NS_PER_TICK,
            utime_ms=utime // _NS_PER_MS,
            stime_ms=stime // _NS_PER_MS,
            minor_faults=r.minor_faults,
            major_faults=r.major_faults,
            rss_kb=None if kernel else (r.file_pages + r.anon_pages + r.shared_pages) * _PAGE_KB,
            anon_kb=None if kernel else r.anon_pages * _PAGE_KB,
            swap_kb=None if kernel else r.swap_pages * _PAGE_KB,
            vsize_kb=None if kernel else r.vsize_pages * _PAGE_KB,
            read_bytes=io.read_bytes,
            write_bytes=io.write_bytes,
            cancelled_write_bytes=io.cancelled_write_bytes,
            read_chars=io.read_chars,
            write_chars=io.write_chars,
            read_syscalls=io.read_syscalls,
            write_syscalls=io.write_syscalls,
            children_read_bytes=children_read_bytes,
            children_write_bytes=children_write_bytes,
            voluntary_switches=r.voluntary,
            involuntary_switches=r.involuntary,
            fds=None if r.fds == _UNKNOWN else r.fds,
            sockets=None if r.sockets == _UNKNOWN else r.sockets,
            fd_limit=None if r.fd_limit > 2**63 - 1 else r.fd_limit,
            cpu_delay_ns=r.cpu_delay,
            blkio_delay_ns=r.blkio_delay if delays else None,
            swapin_delay_ns=r.swapin_delay if delays else None,
            reclaim_delay_ns=r.reclaim_delay if delays else None,
            thrashing_delay_ns=r.thrashing_delay if delays else None,
            cgroup=groups.path,
            cgroup_id=wrap_u64(r.cgroup_id),
            memory_cgroup=groups.memory_path,
            io_cgroup=groups.io_path,
        )
