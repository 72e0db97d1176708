"""A machine on which everything that people ask about happens, so that each answer is known exactly."""

from __future__ import annotations

import random
from collections.abc import Iterator

from kernelsight.events.block import Block, IoLatency
from kernelsight.events.cgroup import Cgroup
from kernelsight.events.collector import CollectorReport
from kernelsight.events.declare import Event
from kernelsight.events.filesystem import Filesystem
from kernelsight.events.lock import FileLockWait
from kernelsight.events.memory import Memory, OomKill, Vmstat
from kernelsight.events.network import Network
from kernelsight.events.process import Process
from kernelsight.events.scheduler import Cpu, Load, SchedProcess
from kernelsight.events.tcp import Tcp, TcpListener, TcpRetransmit
from kernelsight.query.times import TimeRange

SECOND = 1_000_000_000
START = 1_790_000_000 * SECOND
"""2026-09-21T14:13:20Z."""
LENGTH = 600
WINDOW = TimeRange(START, START + LENGTH * SECOND)
MIB, GIB, KIB_OF_GIB = 2**20, 2**30, 2**20
OOM_AT, FULL_FROM, RESTART_AT, LOCKED_FROM, TROUBLE_FROM = 400, 300, 200, 450, 300
_WATCHED = (
    "cpu,memory,vmstat,process,sched_process,network,tcp,tcp_retransmit,block,filesystem,load,oom_kill,file_lock_wait"
)


def everyday(seed: int = 7) -> Iterator[Event]:
    """Ten minutes: /data fills up by the backup, nginx restarts, mysqld is killed, workerd leaks, eth0 has errors."""
    chance = random.Random(seed)
    for second in range(LENGTH):
        at = START + second * SECOND
        trouble = max(0, second - TROUBLE_FROM)
        yield from _machine(at, second, trouble, chance)
        yield from _processes(at, second)
        yield from _disks(at, second, trouble)
        yield from _network(at, second, trouble)
        if second % 30 == 0:
            yield CollectorReport(
                at, name="everything", source="procfs", status="running", runs=second + 1, kinds=_WATCHED
            )
        if second >= LOCKED_FROM and second % 10 == 0:
            yield FileLockWait(at, pid=61, comm="alpha", holder_pid=62, holder_comm="beta", lock_type="posix", inode=5)
            yield FileLockWait(at, pid=62, comm="beta", holder_pid=61, holder_comm="alpha", lock_type="posix", inode=6)
            yield FileLockWait(at, pid=63, comm="gamma", holder_pid=64, holder_comm="delta", lock_type="flock", inode=7)
    yield OomKill(
        START + OOM_AT * SECOND, pid=50, comm="mysqld", total_vm_kb=3 * KIB_OF_GIB, anon_rss_kb=2 * KIB_OF_GIB,
        trigger_pid=40, trigger_comm="workerd", oom_score_adj=0,
    )  # fmt: skip


def _machine(at: int, second: int, trouble: int, chance: random.Random) -> Iterator[Event]:
    busy = 30 + 60 * (trouble > 0)
    total = [min(second, TROUBLE_FROM) * 30 + trouble * 90, 0]
    yield Cpu(
        at, cpu=-1, user=total[0] * 2, system=0, idle=second * 200 - total[0] * 2, iowait=0, nice=0, irq=0, softirq=0,
        steal=0, context_switches=1000 * second, forks=5 * second, interrupts=300 * second, procs_running=busy // 30,
        procs_blocked=0,
    )  # fmt: skip
    for cpu in (0, 1):
        yield Cpu(at, cpu=cpu, user=total[0], system=0, idle=second * 100 - total[0])
    yield Memory(
        at, mem_total_kb=16 * KIB_OF_GIB, mem_available_kb=8 * KIB_OF_GIB - trouble * 20 * 1024, mem_free_kb=KIB_OF_GIB,
        swap_total_kb=4 * KIB_OF_GIB, swap_free_kb=3 * KIB_OF_GIB, dirty_kb=64 * 1024, cached_kb=2 * KIB_OF_GIB,
    )  # fmt: skip
    yield Load(at, load_1min=1.0 + (3.0 if trouble else 0.0), load_5min=1, load_15min=1, total_processes=210)
    yield Vmstat(
        at, pgfault=2000 * second, pgmajfault=second, pswpin=0, pswpout=10 * trouble, oom_kill=int(second >= OOM_AT)
    )
    if second % 2 == 0:
        yield Cgroup(
            at, cgroup="/system.slice/api.service", cpu_throttled_us=50_000 * second, cpu_usage_us=100_000 * second,
            memory_current_bytes=300 * MIB,
        )  # fmt: skip
        yield Cgroup(
            at, cgroup="/system.slice/cron.service", cpu_throttled_us=0, cpu_usage_us=chance.randrange(1, 2) * second
        )


def _processes(at: int, second: int) -> Iterator[Event]:
    """pid, comm, memory in MiB, bytes written and read a second in MiB, open files, CPU in ms a second."""
    rows = [
        (10, "nginx", 80, 0, 0, 40, 50) if second < RESTART_AT else (11, "nginx", 80, 0, 0, 40, 50),
        (20, "postgres", 1200, 1, 4, 200, 100),
        (30, "backup", 50, 20 if second >= 120 else 0, 8, 12, 200),
        (40, "workerd", 500 + second, 0, 0, 64, 600),
        (60, "reporter", 300, 0, 0, 900, 20),
    ]
    if second <= OOM_AT:
        rows.append((50, "mysqld", 2048, 2, 1, 150, 80))
    for pid, comm, memory, written, read, files, ran in rows:
        wrote = max(0, second - 120) * 20 if comm == "backup" else written * second
        yield Process(
            at, pid=pid, ppid=1, start_ticks=pid * 100, comm=comm, state="S", threads=4, rss_kb=memory * 1024,
            write_bytes=wrote * MIB, read_bytes=read * second * MIB, fds=files, fd_limit=1024, swap_kb=0,
            minor_faults=0, major_faults=0, sockets=8, voluntary_switches=10 * second,
        )  # fmt: skip
        yield SchedProcess(at + 7, pid=pid, comm=comm, cpu_time_ms=ran, runqueue_ms=1, forks=0, context_switches=10)
    yield Process(at, pid=99, ppid=60, start_ticks=1, comm="husk", state="Z", rss_kb=0, threads=1, fds=0, write_bytes=0)


def _disks(at: int, second: int, trouble: int) -> Iterator[Event]:
    yield Block(
        at, device_name="vda", read_ios=100 * second, write_ios=50 * second, read_sectors=8000 * second,
        write_sectors=40_000 * second, io_ticks=800 * second, in_flight=4,
    )  # fmt: skip
    yield Block(
        at, device_name="vdb", read_ios=second, write_ios=2 * second, read_sectors=16 * second,
        write_sectors=32 * second, io_ticks=10 * second, in_flight=0,
    )  # fmt: skip
    slow = 40_000 if trouble else 4_000
    yield IoLatency(
        at, device="vda", read_count=100, write_count=50, read_p50_us=200, read_p95_us=900, read_p99_us=2000,
        read_max_us=5000, write_p50_us=500, write_p95_us=slow // 2, write_p99_us=slow, write_max_us=2 * slow, errors=0,
    )  # fmt: skip
    yield IoLatency(
        at, device="vdb", read_count=1, write_count=2, read_p50_us=100, read_p95_us=110, read_p99_us=120,
        read_max_us=130, write_p50_us=100, write_p95_us=110, write_p99_us=120, write_max_us=130, errors=0,
    )  # fmt: skip
    filled = min(max(0, second - 120) / (FULL_FROM - 120), 1.0)
    yield Filesystem(
        at, mount_point="/data", device="/dev/vda1", fs_type="ext4", size_bytes=10 * GIB,
        free_bytes=int(4 * GIB * (1 - filled)), avail_bytes=int(4 * GIB * (1 - filled)), inodes_total=1_000_000,
        inodes_free=900_000, read_only=False,
    )  # fmt: skip
    yield Filesystem(
        at, mount_point="/", device="/dev/vdb1", fs_type="ext4", size_bytes=100 * GIB, free_bytes=60 * GIB,
        avail_bytes=60 * GIB, inodes_total=1_000_000, inodes_free=950_000, read_only=False,
    )  # fmt: skip


def _network(at: int, second: int, trouble: int) -> Iterator[Event]:
    yield Network(
        at, interface_name="eth0", rx_bytes=1_000_000 * second, tx_bytes=250_000 * second, rx_packets=1000 * second,
        tx_packets=800 * second, rx_errors=trouble, tx_errors=0, rx_drops=0, tx_drops=0,
    )  # fmt: skip
    yield Network(
        at, interface_name="lo", rx_bytes=1000 * second, tx_bytes=1000 * second, rx_errors=0, tx_errors=0, rx_drops=0,
        tx_drops=0,
    )  # fmt: skip
    yield TcpRetransmit(
        at, retrans_segs=3 * trouble, out_segs=1000 * second, in_segs=900 * second, listen_overflows=0, estab_resets=0,
        attempt_fails=0, active_opens=second, passive_opens=second,
    )  # fmt: skip
    yield Tcp(at, established=40 + (60 if trouble else 0), time_wait=12, close_wait=3, listen=9, syn_recv=0)
    if second % 5 == 0:
        pid = 10 if second < RESTART_AT else 11
        yield TcpListener(at, address="0.0.0.0", port=80, accept_queue=0, backlog=511, pid=pid, comm="nginx")
        yield TcpListener(at, address="127.0.0.1", port=5432, accept_queue=0, backlog=128, pid=20, comm="postgres")
