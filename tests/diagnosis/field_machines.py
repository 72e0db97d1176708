"""Telemetry of machines that resemble those of bug reports: each kind of trouble with other names, numbers and times.

Every function yields rows as a collector writes them (one dictionary a line), from a seeded generator, ill or well:
well is the same machine with the limit not reached, or the harm left out.
"""

from __future__ import annotations

import random
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from typing import Any

SECOND = 1_000_000_000
Row = dict[str, Any]
NAMES = ("gitea", "agent", "nodejs", "vector", "builder", "relay", "indexer", "w1", "collectd", "sync-worker")


@dataclass
class Machine:
    """What is the same all the time: CPUs that idle, memory that is free, an init process."""

    seed: int
    rng: random.Random = field(init=False)
    start: int = field(init=False)
    length: int = field(init=False)
    onset: int = field(init=False)
    cpus: int = field(init=False)
    total_kb: int = field(init=False)

    def __post_init__(self) -> None:
        self.rng = random.Random(self.seed)
        self.start = 1_790_000_000 * SECOND + self.rng.randrange(10**8) * 10_000
        self.length = self.rng.randint(25, 58)
        self.onset = self.rng.randint(4, self.length // 2)
        self.cpus = self.rng.choice((1, 2, 4, 16))
        self.total_kb = self.rng.choice((2_000_000, 8_000_000, 64_000_000))

    def at(self, second: float) -> int:
        return self.start + int(second * SECOND) + 7

    def ill(self, second: int) -> bool:
        return second >= self.onset

    def name(self) -> str:
        return self.rng.choice(NAMES)

    def pid(self) -> int:
        return self.rng.randint(300, 90_000)

    def rows(self, *, steal: float = 0.01, memory: Callable[[int], Row] = lambda _: {}) -> Iterator[Row]:
        """A CPU that is busy for a tenth; of the rest, `steal` is taken by the hypervisor."""
        for second in range(self.length):
            for cpu in range(-1, self.cpus):
                many = self.cpus if cpu < 0 else 1
                ticks = {"user": 8, "system": 2, "steal": 100 * steal, "idle": 90 - 100 * steal}
                counters = {name: int(10_000 * many + second * many * rate) for name, rate in ticks.items()}
                yield {"type": "cpu", "timestamp": self.at(second), "cpu": cpu, "nice": 0, "iowait": 0, "irq": 0,
                       "softirq": 0, **counters}  # fmt: skip
            yield {"type": "memory", "timestamp": self.at(second), "mem_total_kb": self.total_kb,
                   "mem_free_kb": self.total_kb // 3, "mem_available_kb": self.total_kb // 2, "swap_total_kb": 0,
                   "swap_free_kb": 0, "shmem_kb": 1000, "slab_kb": self.total_kb // 50, **memory(second)}  # fmt: skip
            yield self.process(second, 1, "systemd", ppid=0)

    def process(self, second: int, pid: int, comm: str, **columns: Any) -> Row:
        return {"type": "process", "timestamp": self.at(second), "pid": pid, "ppid": 1, "comm": comm, "state": "S",
                "threads": 1, "nice": 0, "start_ticks": pid, "utime_ms": 10 * second, "stime_ms": 5, "rss_kb": 9000,
                "anon_kb": 5000, "fds": 20, "fd_limit": 1024, "cgroup": "/app", **columns}  # fmt: skip

    def failed(self, pid: int, comm: str, call: str, error: str, errno: int, each: int) -> Iterator[Row]:
        for second in range(self.onset, self.length):
            yield {"type": "syscall_error", "timestamp": self.at(second), "pid": pid, "comm": comm, "syscall_nr": 1,
                   "syscall_name": call, "errno": errno, "error": error, "count": each}  # fmt: skip


def inotify_instances(machine: Machine, *, ill: bool) -> Iterator[Row]:
    """A program far from its own limit of descriptors; well: none of its calls fails."""
    pid, comm = machine.pid(), machine.name()
    fds, limit = machine.rng.randint(12, 400), machine.rng.choice((4096, 65_536, 1_048_576))
    yield from machine.rows()
    for second in range(machine.length):
        yield machine.process(second, pid, comm, fds=fds, fd_limit=limit)
    if ill:
        call = machine.rng.choice(("inotify_init", "inotify_init1"))
        yield from machine.failed(pid, comm, call, "EMFILE", 24, machine.rng.randint(1, 90))


PAIRS = (
    ("inotify_add_watch", "ENOSPC", 28, "fs.inotify.max_user_watches"),
    ("fanotify_mark", "ENOSPC", 28, "fs.fanotify.max_user_marks"),
    ("openat", "ENFILE", 23, "fs.file-max"),
    ("accept4", "ENFILE", 23, "fs.file-max"),
    ("io_setup", "EAGAIN", 11, "fs.aio-max-nr"),
    ("add_key", "EDQUOT", 122, "kernel.keys.maxkeys"),
    ("semget", "ENOSPC", 28, "kernel.sem"),
    ("shmget", "ENOSPC", 28, "kernel.shmmni"),
    ("msgget", "ENOSPC", 28, "kernel.msgmni"),
    ("mprotect", "ENOMEM", 12, "vm.max_map_count"),
    ("mlock", "ENOMEM", 12, "RLIMIT_MEMLOCK"),
    ("io_uring_setup", "ENOMEM", 12, "RLIMIT_MEMLOCK"),
    ("unshare", "ENOSPC", 28, "user.max_user_namespaces"),
)
"""System call, error, errno → the limit that it means."""


def call_at_limit(machine: Machine, *, ill: bool) -> Iterator[Row]:
    """Calls that only one limit refuses; well: they succeed."""
    pid, comm = machine.pid(), machine.name()
    call, error, errno, _ = PAIRS[machine.seed % len(PAIRS)]
    yield from machine.rows()
    for second in range(machine.length):
        yield machine.process(second, pid, comm)
    if ill:
        yield from machine.failed(pid, comm, call, error, errno, machine.rng.randint(1, 40))


def connection_table(machine: Machine, *, ill: bool) -> Iterator[Row]:
    """Packets that netfilter drops; well: strangers' packets, that nobody misses."""
    interface = machine.rng.choice(("eth0", "ens5", "bond0"))
    each, passed = machine.rng.randint(20, 900), machine.rng.randint(3000, 50_000)
    tries = each * machine.rng.uniform(0.1, 0.5) if ill else 0
    yield from machine.rows()
    for second in range(machine.length):
        at, since = machine.at(second), max(0, second - machine.onset + 1)
        moved = {f"{way}_{what}": 10**6 + second * passed * size
                 for way in ("rx", "tx") for what, size in (("packets", 1), ("bytes", 700))}  # fmt: skip
        yield {"type": "network", "timestamp": at, "interface_name": interface, "rx_drops": 0, "tx_drops": 0,
               "rx_errors": 0, "tx_errors": 0, **moved}  # fmt: skip
        yield {"type": "tcp_retransmit", "timestamp": at, "retrans_segs": 100 + int(since * tries),
               "out_segs": 10**6 + second * passed, "in_segs": 10**6 + second * passed, "listen_overflows": 0,
               "listen_drops": 0, "timeouts": 50, "syn_retrans": 100 + int(since * tries)}  # fmt: skip
        if machine.ill(second):
            yield {"type": "packet_drop", "timestamp": at, "reason": "NETFILTER_DROP", "interface_name": interface,
                   "location": "nf_hook_slow", "origin": "remote", "count": each}  # fmt: skip


def zombies(machine: Machine, *, ill: bool) -> Iterator[Row]:
    """A group whose tasks are its parent's dead children; well: as many as before, and no fork fails."""
    parent, comm, child = machine.pid(), machine.name(), machine.name()
    group = f"/system.slice/{comm}-{parent}.scope"
    limit = machine.rng.choice((100, 512, 4915, 32_768))
    seen = machine.rng.randint(30, 90)
    dead_at = max(machine.onset - 1, 1)
    yield from machine.rows()
    for second in range(machine.length):
        used = limit - machine.rng.randint(0, 1) if ill and machine.ill(second) else limit // 2
        refused = max(0, second - machine.onset + 1) * 3 if ill else 0
        yield {"type": "cgroup", "timestamp": machine.at(second), "cgroup": group, "cpu_usage_us": 10**9 + second,
               "memory_current_bytes": 10**8, "pids_current": used, "pids_limit": limit,
               "pids_limit_events": 40 + refused}  # fmt: skip
        yield machine.process(second, parent, comm, threads=machine.rng.randint(1, 12), cgroup=group)
    for pid in range(100_000, 100_000 + seen):
        yield machine.process(dead_at, pid, child, ppid=parent, state="Z", rss_kb=0, anon_kb=0, fds=None,
                              fd_limit=None, cgroup=group)  # fmt: skip
    if ill:
        call = machine.rng.choice(("fork", "vfork", "clone", "clone3"))
        yield from machine.failed(parent, comm, call, "EAGAIN", 11, machine.rng.randint(1, 9))


def slab(machine: Machine, *, ill: bool) -> Iterator[Row]:
    """Slab that grows and takes memory with it; well: as much, but it is given back when wanted, so it is available."""
    each = machine.total_kb * machine.rng.uniform(0.004, 0.009)

    def memory(second: int) -> Row:
        grown = int(each * second)
        columns = {"slab_kb": machine.total_kb // 50 + grown, "slab_reclaimable_kb": machine.total_kb // 100,
                   "slab_unreclaimable_kb": machine.total_kb // 100 + grown,
                   "mem_available_kb": machine.total_kb // 2 - grown}  # fmt: skip
        if not ill:
            columns |= {"slab_reclaimable_kb": machine.total_kb // 100 + grown, "mem_available_kb":
                        machine.total_kb // 2, "slab_unreclaimable_kb": machine.total_kb // 100}  # fmt: skip
        return columns

    yield from machine.rows(memory=memory)


def steal(machine: Machine, *, ill: bool) -> Iterator[Row]:
    """CPU time that is taken; well: 1 or 2 % of it."""
    pid, comm = machine.pid(), machine.name()
    share = machine.rng.uniform(0.2, 0.6) if ill else machine.rng.uniform(0.005, 0.025)
    yield from machine.rows(steal=share)
    for second in range(machine.length):
        yield {"type": "sched_process", "timestamp": machine.at(second), "pid": pid, "comm": comm,
               "voluntary_switches": 40, "involuntary_switches": 30, "cpu_time_ms": 80.0,
               "runqueue_ms": 400.0 if ill else 2.0, "cgroup_id": 1}  # fmt: skip
        yield machine.process(second, pid, comm, utime_ms=80 * second)


def throttled(machine: Machine, *, ill: bool) -> Iterator[Row]:
    """A group whose quota is used up in every period; well: by 20 ms a second at most, ill: by more than it gets."""
    used_ms = machine.rng.randint(20, 180)
    lost_ms = used_ms * machine.rng.uniform(2, 6) + 100 if ill else machine.rng.uniform(2, 20)
    yield from machine.rows()
    for second in range(machine.length):
        yield {"type": "cgroup", "timestamp": machine.at(second), "cgroup": "/kubepods/pod-7", "cpu_usage_us":
               10**9 + second * used_ms * 1000, "cpu_periods": 10**6 + 10 * second, "cpu_throttled_periods": 500 + 10 *
               second, "cpu_throttled_us": 10**8 + int(second * lost_ms * 1000), "cpu_quota_us": used_ms * 100,
               "cpu_period_us": 100_000, "memory_current_bytes": 10**7}  # fmt: skip


def huge_pages(machine: Machine, *, ill: bool) -> Iterator[Row]:
    """Most of the memory set apart as huge pages; well: half of the rest is available, ill: nothing of it."""
    size_kb = machine.rng.choice((2048, 1 << 20))
    huge = int(machine.total_kb * machine.rng.uniform(0.5, 0.96)) // size_kb
    rest = machine.total_kb - huge * size_kb

    def memory(_: int) -> Row:
        available = int(rest * (0.004 if ill else machine.rng.uniform(0.4, 0.6)))
        return {"huge_pages_total": huge, "huge_pages_free": 0, "huge_page_size_kb": size_kb,
                "mem_available_kb": available, "mem_free_kb": available // 2}  # fmt: skip

    yield from machine.rows(memory=memory)


def idle_io_uring(machine: Machine, *, ill: bool) -> Iterator[Row]:
    """A service that waits for an io_uring: the kernel counts it for stalled; ill: a device lets its callers hang."""
    pid, comm = machine.pid(), machine.name()
    yield from machine.rows()
    for second in range(machine.length):
        for scope in ("system", f"/system.slice/{comm}.service"):
            stalled = int(second * 970_000)
            yield {"type": "pressure", "timestamp": machine.at(second), "resource": "io", "scope": scope,
                   "some_total_us": stalled, "full_total_us": stalled}  # fmt: skip
        yield {"type": "block", "timestamp": machine.at(second), "device_name": "vda", "read_ios": 9, "read_sectors": 8,
               "read_ticks": 9, "write_ios": 5, "write_sectors": 9, "write_ticks": 3, "in_flight": 0, "io_ticks": 5,
               "time_in_queue": 4}  # fmt: skip
        if ill and second > machine.onset:
            yield {"type": "blocked_task", "timestamp": machine.at(second), "pid": pid, "tid": pid, "comm": comm,
                   "syscall_name": "fsync", "syscall_nr": 74, "wchan": "jbd2_log_wait_commit", "stack": "io_schedule",
                   "blocked_ms": 1000.0 * (second - machine.onset)}  # fmt: skip
