"""Processes from /proc/PID/*, with delays from taskstats (Documentation/filesystems/proc.rst).

A row a second for every process would be dear and mostly say again what the last one said, so the
kernel is first asked who ran at all: /proc/PID/schedstat counts the times that a task was given a
CPU and costs a third of /proc/PID/stat. Only those that ran are read in full.
"""

from __future__ import annotations

import os
from collections.abc import Collection, Iterator, Sequence
from contextlib import suppress
from dataclasses import dataclass

from kernelsight.collectors.base import Host, collector
from kernelsight.collectors.clock import NS_PER_S
from kernelsight.collectors.damage import bounded, parsing
from kernelsight.collectors.delay_accounting import DelayAccounting
from kernelsight.collectors.executables import Executables
from kernelsight.collectors.files import read_once
from kernelsight.collectors.hidepid import limits_of_hidepid
from kernelsight.collectors.netlink.taskstats import Delays, TaskstatsClient
from kernelsight.collectors.own_io import Account, OwnIo, Shares
from kernelsight.collectors.privileges import OTHERS_PROCESSES, Capability, limits_on_others
from kernelsight.collectors.procfs.cgroup_paths import CgroupIds
from kernelsight.collectors.procfs.process_files import DescriptorBudget, ProcessFiles, ProcessGoneError
from kernelsight.collectors.procfs.process_text import (
    Groups,
    Io,
    Stat,
    Status,
    parse_cgroup,
    parse_fd_limit,
    parse_io,
    parse_run_delay,
    parse_stat,
    parse_status,
)
from kernelsight.collectors.selection import Selection
from kernelsight.errors import SourceUnavailableError
from kernelsight.events.process import Process

_LABELS_EVERY_NS = 10 * NS_PER_S
"""How often limits, the control group and the kinds of descriptors are read of a process that runs."""

_BUSY_NS = 5 * NS_PER_S

_LINKS_A_RUN = 500
"""Descriptors whose kind is looked up in one run, about 1 ms; what is left waits for the next."""

_THREADS_READ = 256
"""Of a process that has waited for children and has more threads than this, I/O contains that of the children."""

_FDS_LISTED = 4096
"""Of a process with more descriptors than this, sockets are not counted."""


@dataclass(slots=True)
class _Tracked:
    """One process that is known."""

    key: tuple[int, int]
    """The pid, and how many processes were known before it: nothing else ever has this key."""
    name: str
    """The pid, as its directory is called."""
    pid: int
    files: ProcessFiles
    watch: str
    """The file that changes when it runs."""
    watched: bytes = b""
    threads: int = 1
    rss_pages: int = 0
    shown_at: int = -_BUSY_NS - 1
    """On the monotonic clock, as what is due."""
    busy: bool = False
    """It was shown moments ago too: worth keeping its files open."""
    status: Status | None = None
    status_due: int = 0
    labels_due: int = 0
    cgroup: str | None = None
    cgroup_id: int | None = None
    memory_cgroup: str | None = None
    io_cgroup: str | None = None
    fd_limit: int | None = None
    sockets_due: int = 0
    io_threads: int = 1
    """Threads at the last look at its I/O, and the names of those whose own I/O was read."""
    thread_names: frozenset[str] = frozenset()
    thread_ends: int = 0
    """Looks at which threads had ended."""
    switches: tuple[int, int] = (0, 0)
    switches_lost: tuple[int, int] = (0, 0)


@collector(source="procfs", emits=(Process,), needs=(*OTHERS_PROCESSES, Capability.CAP_NET_ADMIN))
class ProcessCollector:
    """Processes that ran, the largest ones, and each one at least once a minute.

    Options: ``enable_delayacct`` switches `kernel.task_delayacct` on while this runs, so that processes
    started from then on have their delays for block I/O, swapping, reclaim and thrashing counted.
    """

    def __init__(self, host: Host) -> None:
        self._proc = host.proc
        self._monotonic_ns = host.monotonic_ns
        self._tracked: dict[str, _Tracked] = {}
        self._seen = 0
        self._selection: Selection[tuple[int, int]] = Selection()
        self._own_io: OwnIo[tuple[int, int]] = OwnIo()
        self._executables: Executables[tuple[int, int]] = Executables(host.proc)
        self._page_kb = os.sysconf("SC_PAGE_SIZE") // 1024
        self._ms_per_tick = 1000 // os.sysconf("SC_CLK_TCK")
        self._links_left = 0
        self.limitations: list[str] = []
        """What it cannot say here, and why: columns that stay NULL."""
        try:
            names = self._list_processes()
        except OSError as error:
            raise SourceUnavailableError(f"{host.proc}: {error.strerror}") from error
        self._counts_runs = self._find_counter(names)
        # A recording has no process that is this one, and its delays would be those of another machine.
        live = str(os.getpid()) in names
        self._sizes_fd = live and (host.proc / "self/fd").stat().st_size > 0  # since Linux 6.2
        self.limitations += limits_on_others(
            "executables, I/O and sockets" if self._sizes_fd else "executables, I/O, descriptors and sockets", host.proc
        )
        self.limitations += limits_of_hidepid(host.proc)
        self._budget = DescriptorBudget(share=0.75)
        self._cgroup_ids = CgroupIds(host)
        self._delays = DelayAccounting(host.proc, enable=live and bool(host.options.get("enable_delayacct")))
        self._taskstats = self._open_taskstats() if live else None

    def _find_counter(self, names: set[str]) -> bool:
        """Whether this kernel counts how often a task ran."""
        for name in ("self", *sorted(names)):
            said = read_once(self._proc / name / "schedstat")
            if said:
                with suppress(ValueError):  # this one is damaged; the others say it, too
                    return parse_run_delay(said) is not None
        return False

    def _open_taskstats(self) -> TaskstatsClient | None:
        try:
            client = TaskstatsClient()
        except SourceUnavailableError as error:
            self.limitations.append(str(error))
            return None
        if self._delays.reason:
            self.limitations.append(self._delays.reason)
        return client

    def collect(self, now: int) -> Iterator[Process]:
        """Find out who ran, and read those, the largest, and those not shown for a minute."""
        self._links_left = _LINKS_A_RUN
        moment = self._monotonic_ns()
        shown, delays = self._find_shown(moment)
        living = {process.key for process in self._tracked.values()}
        self._own_io.look(living)
        self._executables.look(living)
        delays |= self._ask_delays([process for process in shown if process.pid not in delays])
        for process in shown:
            try:
                with bounded("/proc/PID/*", process.name.encode()):
                    yield self._read(process, delays.get(process.pid), now, moment)
            except ProcessGoneError:
                self._forget(process)

    def close(self) -> None:
        """Close all files, and put `kernel.task_delayacct` back."""
        for process in list(self._tracked.values()):
            self._forget(process)
        if self._taskstats is not None:
            self._taskstats.close()
        self._delays.restore()

    def _list_processes(self) -> set[str]:
        return {name for name in os.listdir(self._proc) if "0" < name[0] <= "9"}  # noqa: PTH208 - names are enough

    def _forget(self, process: _Tracked) -> None:
        process.files.close()
        del self._tracked[process.name]

    # --- who is shown ---

    def _find_shown(self, moment: int) -> tuple[list[_Tracked], dict[int, Delays]]:
        names = self._list_processes()
        for name in self._tracked.keys() - names:
            self._forget(self._tracked[name])
        for name in sorted(names - self._tracked.keys()):
            self._track(name)
        used: dict[tuple[int, int], tuple[object, int]] = {}
        threaded: list[_Tracked] = []
        for process in list(self._tracked.values()):
            if process.threads > 1 and self._taskstats is not None:
                threaded.append(process)
                continue
            try:
                with bounded("/proc/PID/*", process.name.encode()):
                    process.watched = process.files.read(process.watch, keep=True) or b""
            except ProcessGoneError:
                self._forget(process)  # when its pid is in use again, it is a new process at the next grid point
                continue
            used[process.key] = (process.watched, process.rss_pages)
        delays = self._ask_delays(threaded)
        for process in threaded:
            said = delays.get(process.pid)
            used[process.key] = (said and (said.runs, said.ran_ns), process.rss_pages)
        chosen = self._selection.choose(moment, used)
        return [self._tracked[str(pid)] for pid, _ in chosen], delays

    def _track(self, name: str) -> None:
        files = ProcessFiles(self._proc, name, self._budget)
        self._seen += 1
        watch = "schedstat" if self._counts_runs else "stat"
        self._tracked[name] = _Tracked((int(name), self._seen), name, int(name), files, watch)

    def _ask_delays(self, processes: Sequence[_Tracked]) -> dict[int, Delays]:
        return self._taskstats.ask([process.pid for process in processes]) if self._taskstats else {}

    # --- what it did ---

    def _read(self, process: _Tracked, delays: Delays | None, now: int, moment: int) -> Process:
        process.busy = moment - process.shown_at <= _BUSY_NS
        process.shown_at = moment
        if not process.busy:
            process.files.close_all_but(process.watch)
        text = process.files.read("stat", keep=process.busy)
        if not text:  # hidden from this user, or ended
            raise ProcessGoneError
        with parsing(f"/proc/{process.name}/stat", text):
            stat = parse_stat(text)
        if delays is None or stat.rss_pages != process.rss_pages or moment >= process.status_due:
            said = process.files.read("status", keep=process.busy)
            process.status = None
            if said:
                with bounded("/proc/PID/status", said), parsing("/proc/PID/status", said):
                    process.status = parse_status(said)
            process.status_due = moment + _LABELS_EVERY_NS
        process.rss_pages = stat.rss_pages
        if moment >= process.labels_due:
            self._read_labels(process, moment)
        process.threads = stat.threads
        # The main thread's counter says nothing of the other threads; the sums in stat do, if late.
        watch = "schedstat" if self._counts_runs and stat.threads == 1 else "stat"
        if watch != process.watch:
            process.watch, process.watched = watch, b""  # what was read is of the other file
        return self._event(process, stat, delays, now, moment)

    def _read_labels(self, process: _Tracked, moment: int) -> None:
        process.labels_due = moment + _LABELS_EVERY_NS
        limits = process.files.read("limits", keep=False)
        with parsing("/proc/PID/limits", limits or b""):
            process.fd_limit = parse_fd_limit(limits) if limits else None
        group = process.files.read("cgroup", keep=False)
        with parsing("/proc/PID/cgroup", group or b""):
            groups = parse_cgroup(group) if group else Groups(None, None, None, None)
        process.cgroup, process.memory_cgroup, process.io_cgroup = groups.path, groups.memory_path, groups.io_path
        process.cgroup_id = self._cgroup_ids.find(groups.v2_path) if groups.v2_path else None

    def _event(self, process: _Tracked, stat: Stat, delays: Delays | None, now: int, moment: int) -> Process:
        status = process.status
        shares = self._divide_io(process, stat)
        io = shares.own if shares else None
        fds, sockets = self._count_descriptors(process, moment)
        voluntary, involuntary = _count_switches(process, delays)
        waits = delays if stat.start >= self._delays.since_tick else None
        return Process(
            now,
            pid=process.pid,
            ppid=stat.ppid,
            uid=status.uid if status else None,
            comm=stat.comm,
            state=stat.state,
            threads=stat.threads,
            nice=stat.nice,
            start_ticks=stat.start,
            utime_ms=None if stat.utime is None else stat.utime * self._ms_per_tick,
            stime_ms=None if stat.stime is None else stat.stime * self._ms_per_tick,
            minor_faults=stat.minor_faults,
            major_faults=stat.major_faults,
            rss_kb=None if stat.is_kernel else self._resident_kb(stat, status),
            anon_kb=None if stat.is_kernel or status is None else status.anon_kb,
            swap_kb=None if stat.is_kernel or status is None else status.swap_kb,
            vsize_kb=None if stat.is_kernel or stat.vsize is None else stat.vsize // 1024,
            read_bytes=io.read_bytes if io else None,
            write_bytes=io.write_bytes if io else None,
            cancelled_write_bytes=io.cancelled_write_bytes if io else None,
            read_chars=io.read_chars if io else None,
            write_chars=io.write_chars if io else None,
            read_syscalls=io.read_syscalls if io else None,
            write_syscalls=io.write_syscalls if io else None,
            voluntary_switches=voluntary,
            involuntary_switches=involuntary,
            fds=fds,
            fd_limit=process.fd_limit,
            sockets=sockets,
            cpu_delay_ns=delays.cpu_delay_ns if delays else _run_delay(process),
            blkio_delay_ns=waits.blkio_delay_ns if waits else None,
            swapin_delay_ns=waits.swapin_delay_ns if waits else None,
            reclaim_delay_ns=waits.reclaim_delay_ns if waits else None,
            thrashing_delay_ns=waits.thrashing_delay_ns if waits else None,
            cgroup=process.cgroup,
            cgroup_id=process.cgroup_id,
            memory_cgroup=process.memory_cgroup,
            io_cgroup=process.io_cgroup,
            children_read_bytes=shares.children_read_bytes if shares else None,
            children_write_bytes=shares.children_write_bytes if shares else None,
            exe=None if stat.is_kernel else self._executables.of(process.key, process.pid, stat.comm, moment),
        )

    def _divide_io(self, process: _Tracked, stat: Stat) -> Shares | None:
        """What it read and wrote itself, and what its children did; None: this user may not know."""
        # The threads first: what they do until the sum is read is then theirs, too.
        texts = {} if stat.children_faults == 0 else self._io_of_threads(process, stat.threads)
        live = _sum_io(texts.values())
        total = _sum_io([process.files.read("io", keep=process.busy) or b""])
        if total is None:
            return None
        ended = tuple(max(0, of_all - of_live) for of_all, of_live in zip(total, live or total, strict=True))
        # Where its threads were not listed the last time, any of several may have ended since.
        process.thread_ends += (
            not process.thread_names <= texts.keys() if process.thread_names else process.io_threads > 1
        )
        process.thread_names, process.io_threads = frozenset(texts), stat.threads
        account = Account(live or total, ended, process.thread_ends, stat.children_faults or 0)
        return self._own_io.divide(process.key, process.pid, stat.ppid, account)

    def _io_of_threads(self, process: _Tracked, threads: int) -> dict[str, bytes]:
        """The I/O of each thread that lives; nothing where it is not told, or there are too many to ask each."""
        if threads > 1:
            return process.files.read_threads("io", most=_THREADS_READ)
        said = process.files.read(f"task/{process.name}/io", keep=False)
        return {process.name: said} if said else {}

    def _resident_kb(self, stat: Stat, status: Status | None) -> int | None:
        return stat.rss_pages * self._page_kb if status is None else status.rss_kb

    def _count_descriptors(self, process: _Tracked, moment: int) -> tuple[int | None, int | None]:
        """Descriptors, and how many are sockets: the first at once where the kernel tells, the second seldom."""
        count = process.files.count_descriptors() if self._sizes_fd else None
        if moment < process.sockets_due or (count is not None and count > min(_FDS_LISTED, self._links_left)):
            return count, None
        process.sockets_due = moment + _LABELS_EVERY_NS
        listed = process.files.list_descriptors()
        if listed is None:
            return count, None
        if len(listed) > min(_FDS_LISTED, self._links_left):
            return len(listed), None
        self._links_left -= len(listed)
        return len(listed), process.files.count_sockets(listed)


def _sum_io(texts: Collection[bytes]) -> tuple[int, ...] | None:
    """The sum of files such as /proc/PID/io; None: there is none, or one of them cannot be read."""
    sums = (0,) * len(Io._fields)
    for text in filter(None, texts):
        with bounded("/proc/PID/io", text), parsing("/proc/PID/io", text):
            io = tuple(value for value in parse_io(text) if value is not None)
            sums = tuple(map(sum, zip(sums, io, strict=True)))
            continue
        return None
    return sums if any(texts) else None


def _run_delay(process: _Tracked) -> int | None:
    """The wait for a CPU as schedstat has it, which is of one thread."""
    if process.watch != "schedstat" or not process.watched:
        return None
    with bounded("/proc/PID/schedstat", process.watched):
        return parse_run_delay(process.watched)
    return None


def _count_switches(process: _Tracked, delays: Delays | None) -> tuple[int | None, int | None]:
    """Context switches of all threads, voluntary and not.

    The kernel's sums lose what ended threads had; a counter that falls would be taken for a reset and
    its whole value for new, so what was lost is added again.
    """
    if delays is None:
        status = process.status if process.threads == 1 else None
        return (status.voluntary_switches, status.involuntary_switches) if status else (None, None)
    said = (delays.voluntary_switches, delays.involuntary_switches)
    process.switches_lost = (
        process.switches_lost[0] + max(0, process.switches[0] - said[0]),
        process.switches_lost[1] + max(0, process.switches[1] - said[1]),
    )
    process.switches = said
    return said[0] + process.switches_lost[0], said[1] + process.switches_lost[1]
