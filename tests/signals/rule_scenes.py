"""For every rule what a second looks like when it must be raised, and when it must not."""

from __future__ import annotations

from kernelsight.events.block import Block, IoLatency
from kernelsight.events.cgroup import Cgroup
from kernelsight.events.filesystem import Filesystem
from kernelsight.events.hardware import CpuSpeed, Link, MemoryErrors, RaidArray
from kernelsight.events.kernel_message import KernelMessage
from kernelsight.events.limit import Limit
from kernelsight.events.memory import Memory, OomKill, PageFault, PageFaultStats, Vmstat
from kernelsight.events.network import Network
from kernelsight.events.packet_drop import PacketDrop
from kernelsight.events.pressure import Pressure
from kernelsight.events.process import Process, SocketOwner
from kernelsight.events.scheduler import BlockedTask, Cpu, Sched, SchedProcess, Wait
from kernelsight.events.syscalls import Syscall, SyscallError
from kernelsight.events.tcp import Tcp, TcpListener, TcpRetransmit
from kernelsight.events.udp_socket import UdpSocket
from kernelsight.linux.kernel_log.reading import KINDS
from kernelsight.signals.rules.kernel_log import NO_TROUBLE

WHO = {"pid": 7, "comm": "db"}
CPU = {"cpu": -1, "idle": (0, 200), "user": 0, "nice": 0, "system": 0, "iowait": 0, "irq": 0, "softirq": 0, "steal": 0}
"""A pair is a counter: where it begins and by how much it grows a second."""
SENT = {"out_segs": (0, 1000)}
SYSTEM, GROUP = {"scope": "system"}, {"scope": "/work"}
MESSAGE = {"device": "sda", "interface_name": "eth0", "subject": "x", "cpu": 1, "port": 80, "text": "x", "count": 1}
WAIT = {**WHO, "waker_pid": 0, "waits_in": "read"}

# rule → (event, what every second has in both scenes, what it has when ill, what it has when well)
SCENES = {
    "syscall_blocked": (
        Syscall,
        {**WHO, "syscall_name": "fsync"},
        {"blocked_ns": 150_000_000},
        {"blocked_ns": 90_000_000},
    ),
    "syscall_waited_for_cpu": (
        Syscall,
        {**WHO, "syscall_name": "read"},
        {"runqueue_ns": 150_000_000},
        {"runqueue_ns": 20_000_000},
    ),
    "syscall_burns_cpu": (
        Syscall,
        {**WHO, "syscall_name": "bpf"},
        {"on_cpu_ns": 1_100_000_000},
        {"on_cpu_ns": 200_000_000},
    ),
    "syscalls_fail": (SyscallError, {**WHO, "syscall_nr": 1, "count": 3}, {"error": "ENOSPC"}, {"error": "EAGAIN"}),
    "waits_for_cpu": (
        SchedProcess,
        WHO,
        {"cpu_time_ms": 200, "runqueue_ms": 400},
        {"cpu_time_ms": 2, "runqueue_ms": 4},
    ),
    "scheduling_delay": (Sched, WHO, {"latency_ns": 200_000_000}, {"latency_ns": 20_000_000}),
    "tiny_time_slices": (
        SchedProcess,
        {**WHO, "cpu_time_ms": 900},
        {"context_switches": 100_000},
        {"context_switches": 5_000},
    ),
    "fork_storm": (SchedProcess, {**WHO, "cpu_time_ms": 900}, {"forks": 500}, {"forks": 40}),
    "blocked_task": (
        BlockedTask,
        {**WHO, "tid": 8, "wchan": "wait_on_page"},
        {"blocked_ms": 5_000},
        {"blocked_ms": 1_100},
    ),
    "blocked_call": (
        BlockedTask,
        {**WHO, "tid": 8, "wchan": "nfs_wait_bit", "blocked_ms": 20_000},
        {"syscall_name": "read"},
        {"syscall_name": "vfork"},
    ),
    "kernel_limit_near": (Limit, {"limit_name": "fs.file-max", "maximum": 1000}, {"used": 950}, {"used": 700}),
    "blocked_time": (Wait, {**WAIT, "wait_ns": 900_000_000}, {"state": "uninterruptible"}, {"state": "interruptible"}),
    "slow_page_fault": (PageFault, WHO, {"latency_ns": 200_000_000}, {"latency_ns": 8_000_000}),
    "fault_time": (PageFaultStats, WHO, {"fault_ns": 500_000_000}, {"fault_ns": 50_000_000}),
    "major_faults": (PageFaultStats, WHO, {"major_faults": 400}, {"major_faults": 20}),
    "minor_fault_storm": (
        Process,
        {**WHO, "start_ticks": 1},
        {"minor_faults": (0, 400_000)},
        {"minor_faults": (0, 90_000)},
    ),
    "memory_available_low": (Memory, {"mem_total_kb": 1000}, {"mem_available_kb": 40}, {"mem_available_kb": 300}),
    "swap_used_up": (Memory, {"swap_total_kb": 1000}, {"swap_free_kb": 40}, {"swap_free_kb": 300}),
    "direct_reclaim": (Vmstat, {}, {"allocstall_normal": (5, 50)}, {"allocstall_normal": (5, 1)}),
    "refaults": (
        Vmstat,
        {"workingset_refault_anon": (0, 0)},
        {"workingset_refault_file": (0, 9000)},
        {"workingset_refault_file": (0, 200)},
    ),
    "swapping_in": (Vmstat, {}, {"pswpin": (0, 900)}, {"pswpin": (0, 20)}),
    "link_lost": (
        Link,
        {"interface_name": "eth0", "is_up": True, "has_device": True},
        {"carrier_downs": (0, 1)},
        {"carrier_downs": (3, 0)},
    ),
    "cpu_too_hot": (CpuSpeed, {"cpu": 0}, {"core_throttles": (0, 5)}, {"core_throttles": (5, 0)}),
    "memory_errors_corrected": (
        MemoryErrors,
        {"controller": "mc0", "module": "A1"},
        {"corrected": (0, 2)},
        {"corrected": (2, 0)},
    ),
    "memory_errors_uncorrected": (
        MemoryErrors,
        {"controller": "mc0", "module": "A1"},
        {"uncorrected": (0, 1)},
        {"uncorrected": (1, 0)},
    ),
    "raid_degraded": (RaidArray, {"device_name": "md0"}, {"degraded": 1}, {"degraded": 0}),
    "oom_kill": (OomKill, {**WHO, "trigger_comm": "db"}, {}, None),
    "oom_kills": (Vmstat, {}, {"oom_kill": (3, 1)}, {"oom_kill": (3, 0)}),
    "run_queue_long": (Cpu, CPU, {"procs_running": 9}, {"procs_running": 4}),
    "many_tasks_blocked": (Cpu, CPU, {"procs_blocked": 8}, {"procs_blocked": 2}),
    "cpus_busy": (Cpu, CPU, {"idle": (0, 2), "user": (0, 198)}, {"idle": (0, 40), "user": (0, 160)}),
    "cpu_stolen": (Cpu, CPU, {"steal": (0, 60)}, {"steal": (0, 4)}),
    "cpu_stolen_from_work": (Cpu, CPU, {"steal": (0, 90)}, {"steal": (0, 90), "nice": (0, 80)}),
    "softirq_bound_cpu": (
        Cpu,
        {**CPU, "cpu": 1, "idle": (0, 20)},
        {"softirq": (0, 80)},
        {"user": (0, 70), "softirq": (0, 10)},
    ),
    "device_slow": (
        Block,
        {"device_name": "sda", "read_ios": (0, 20), "write_ios": (0, 0), "write_ticks": 0},
        {"read_ticks": (0, 3000)},
        {"read_ticks": (0, 200)},
    ),
    "reads_slow": (
        Block,
        {"device_name": "sda", "read_ios": (0, 20), "write_ios": (0, 20)},
        {"read_ticks": (0, 20_000), "write_ticks": (0, 0)},
        {"read_ticks": (0, 400), "write_ticks": (0, 60_000)},
    ),
    "device_busy": (Block, {"device_name": "sda"}, {"io_ticks": (0, 1000)}, {"io_ticks": (0, 500)}),
    "device_queue_long": (Block, {"device_name": "sda"}, {"time_in_queue": (0, 60_000)}, {"time_in_queue": (0, 4_000)}),
    "flush_slow": (
        Block,
        {"device_name": "sda", "flush_ios": (0, 4)},
        {"flush_ticks": (0, 900)},
        {"flush_ticks": (0, 90)},
    ),
    "device_errors": (IoLatency, {"device": "sda"}, {"errors": 2}, {"errors": 0}),
    "interface_drops": (
        Network,
        {"interface_name": "eth0", "rx_packets": (0, 1000), "tx_packets": (0, 500), "tx_drops": 0},
        {"rx_drops": (0, 50)},
        {"rx_drops": (0, 2)},
    ),
    "interface_errors": (
        Network,
        {"interface_name": "eth0", "rx_packets": (0, 1000), "tx_packets": (0, 500), "tx_errors": 0},
        {"rx_errors": (0, 5)},
        {"rx_errors": (0, 0)},
    ),
    "interface_full_rx": (
        Network,
        {"interface_name": "eth0", "speed_mbps": 100},
        {"rx_bytes": (0, 12_000_000)},
        {"rx_bytes": (0, 6_000_000)},
    ),
    "interface_full_tx": (
        Network,
        {"interface_name": "eth0", "speed_mbps": 100},
        {"tx_bytes": (0, 12_000_000)},
        {"tx_bytes": (0, 6_000_000)},
    ),
    "packets_lost": (
        PacketDrop,
        {"interface_name": "eth0", "location": "f", "count": 50},
        {"reason": "QDISC_DROP"},
        {"reason": "NO_SOCKET"},
    ),
    "udp_receive_overflow": (
        UdpSocket,
        {"address": "::", "port": 53, "inode": 4, **WHO},
        {"drops": (9, 30)},
        {"drops": (9, 0)},
    ),
    "retransmissions": (TcpRetransmit, SENT, {"retrans_segs": (0, 60)}, {"retrans_segs": (0, 3)}),
    "retransmission_timeouts": (TcpRetransmit, SENT, {"timeouts": (0, 20)}, {"timeouts": (0, 1)}),
    "connections_unanswered": (TcpRetransmit, SENT, {"syn_retrans": (0, 20)}, {"syn_retrans": (0, 1)}),
    "listen_overflow": (TcpRetransmit, SENT, {"listen_overflows": (4, 3)}, {"listen_overflows": (4, 0)}),
    "accept_queue_full": (
        TcpListener,
        {"address": "::", "port": 80, "backlog": 128, **WHO},
        {"accept_queue": 129},
        {"accept_queue": 40},
    ),
    "unclosed_connections": (SocketOwner, WHO, {"close_wait": 300}, {"close_wait": 12}),
    "time_wait_many": (Tcp, {}, {"time_wait": 26_000}, {"time_wait": 4_000}),
    "receive_memory_full": (TcpRetransmit, SENT, {"prune_called": (0, 20)}, {"prune_called": (0, 0)}),
    "cpu_pressure": (
        Pressure,
        {**SYSTEM, "resource": "cpu"},
        {"some_total_us": (0, 800_000)},
        {"some_total_us": (0, 300_000)},
    ),
    "memory_pressure": (
        Pressure,
        {**SYSTEM, "resource": "memory"},
        {"some_total_us": (0, 300_000)},
        {"some_total_us": (0, 20_000)},
    ),
    "memory_stall": (
        Pressure,
        {**SYSTEM, "resource": "memory"},
        {"full_total_us": (0, 200_000)},
        {"full_total_us": (0, 20_000)},
    ),
    "io_stall": (
        Pressure,
        {**SYSTEM, "resource": "io"},
        {"full_total_us": (0, 700_000)},
        {"full_total_us": (0, 200_000)},
    ),
    "cpu_pressure_of_group": (
        Pressure,
        {"resource": "cpu", "some_total_us": (0, 800_000)},
        GROUP,
        SYSTEM,
    ),
    "memory_pressure_of_group": (
        Pressure,
        {"resource": "memory", "some_total_us": (0, 800_000)},
        GROUP,
        SYSTEM,
    ),
    "memory_stall_of_group": (
        Pressure,
        {"resource": "memory", "full_total_us": (0, 800_000)},
        GROUP,
        SYSTEM,
    ),
    "io_stall_of_group": (Pressure, {"resource": "io", "full_total_us": (0, 800_000)}, GROUP, SYSTEM),
    "cgroup_throttled": (
        Cgroup,
        {"cgroup": "/work", "cpu_usage_us": (0, 200_000)},
        {"cpu_throttled_us": (0, 900_000)},
        {"cpu_throttled_us": (0, 20_000)},
    ),
    "cgroup_memory_near_limit": (
        Cgroup,
        {"cgroup": "/work", "memory_limit_bytes": 1000, "memory_current_bytes": 999},
        {"memory_anon_bytes": 960},
        {"memory_anon_bytes": 100},
    ),
    "cgroup_refaults": (Cgroup, {"cgroup": "/work"}, {"memory_refaults": (0, 9000)}, {"memory_refaults": (0, 100)}),
    "cgroup_oom_kills": (Cgroup, {"cgroup": "/work"}, {"memory_oom_kills": (2, 1)}, {"memory_oom_kills": (2, 0)}),
    "cgroup_pids_near_limit": (
        Cgroup,
        {"cgroup": "/work", "pids_limit": 100},
        {"pids_current": 97},
        {"pids_current": 20},
    ),
    "cgroup_forks_refused": (Cgroup, {"cgroup": "/work"}, {"pids_limit_events": (2, 5)}, {"pids_limit_events": (2, 0)}),
    "space_low": (
        Filesystem,
        {"mount_point": "/srv", "size_bytes": 1000, "avail_bytes": 3, "free_bytes": 3},
        {"read_only": False},
        {"read_only": True},
    ),
    "inodes_low": (
        Filesystem,
        {"mount_point": "/srv", "inodes_total": 1000, "read_only": False},
        {"inodes_free": 2},
        {"inodes_free": 500},
    ),
    "descriptors_near_limit": (
        Process,
        {**WHO, "start_ticks": 1, "fd_limit": 1024},
        {"fds": 1000},
        {"fds": 100},
    ),
    "process_waits_for_cpu": (
        Process,
        {**WHO, "start_ticks": 1, "nice": 0},
        {"cpu_delay_ns": (0, 900_000_000)},
        {"cpu_delay_ns": (0, 90_000_000)},
    ),
    "process_waits_for_io": (
        Process,
        {**WHO, "start_ticks": 1},
        {"blkio_delay_ns": (0, 900_000_000)},
        {"blkio_delay_ns": (0, 90_000_000)},
    ),
    "process_waits_for_memory": (
        Process,
        {**WHO, "start_ticks": 1},
        {"reclaim_delay_ns": (0, 300_000_000)},
        {"reclaim_delay_ns": (0, 9_000_000)},
    ),
}
SCENES |= {
    f"kernel_says_{kind}": (
        KernelMessage,
        {**WHO, **MESSAGE, "message_kind": kind},
        {"from_kernel": True},
        {"from_kernel": False},
    )
    for kind in KINDS
    if kind not in NO_TROUBLE
}
"""What the kernel says; what a program says is not the kernel's, whatever it claims."""

MANY = {"slow_calls_pile_up": (Syscall, {**WHO, "syscall_name": "write", "blocked_ns": 12_000_000}, 80, 5)}
"""rule → (event, what each has, how many a second when ill, and when well)."""

HUGE = {"mem_total_kb": 800_000_000, "huge_pages_total": 720, "huge_page_size_kb": 1 << 20}
WELL_THOUGH_LOUD = {
    "huge pages take nearly all of the memory": (Memory, {**HUGE, "mem_available_kb": 17_000_000}),
    "ZFS uses what nobody else wants": (
        Memory,
        {"mem_total_kb": 64_000_000, "mem_available_kb": 500_000, "zfs_arc_kb": 40_000_000},
    ),
    "huge pages of a size that is not the usual one": (
        Memory,
        {**HUGE, "huge_pages_total": 0, "hugetlb_kb": 720 << 20, "mem_available_kb": 17_000_000},
    ),
    "swap is full of what nobody needs": (Memory, {"swap_total_kb": 1000, "swap_free_kb": 0}),
    "a quota is used up in all periods and missed by little": (
        Cgroup,
        {
            "cgroup": "/a",
            "cpu_periods": (0, 10),
            "cpu_throttled_periods": (0, 10),
            "cpu_usage_us": (0, 190_000),
            "cpu_throttled_us": (0, 20_000),
        },
    ),
    "an idle io_uring": (Pressure, {**SYSTEM, "resource": "io", "full_total_us": (0, 990_000)}),
    "an idle io_uring of a group": (Pressure, {**GROUP, "resource": "io", "full_total_us": (0, 990_000)}),
    "a server with many short connections": (Tcp, {"time_wait": 40_000}),
    "a thread of a driver that idles": (BlockedTask, {**WHO, "tid": 7, "blocked_ms": 9e6, "wchan": "msleep"}),
    "who waits for a child of vfork": (
        BlockedTask,
        {**WHO, "tid": 7, "blocked_ms": 60_000, "syscall_name": "vfork", "wchan": "kernel_clone"},
    ),
    "a call of vfork that returns late": (Syscall, {**WHO, "syscall_name": "vfork", "blocked_ns": 5_000_000_000}),
    "a task that was told to give way": (SchedProcess, {**WHO, "cpu_time_ms": 100, "runqueue_ms": 9_000}),
    "a hypervisor that takes two per cent": (Cpu, {**CPU, "steal": (0, 4), "idle": (0, 196)}),
    "a full archive with room for a few files": (
        Filesystem,
        {
            "mount_point": "/a",
            "size_bytes": 10**13,
            "free_bytes": 8 * 10**10,
            "avail_bytes": 8 * 10**10,
            "read_only": False,
        },
    ),
    "a rule that turns strangers away": (
        PacketDrop,
        {"reason": "NETFILTER_DROP", "interface_name": "eth0", "location": "nft_do_chain", "count": 9_000},
    ),
    "a copy at the speed of the link": (
        Network,
        {"interface_name": "eth0", "speed_mbps": 1000, "rx_bytes": (0, 124_900_000)},
    ),
    "a heap of fixed size in a group": (Cgroup, {"cgroup": "/a", "memory_anon_bytes": 98, "memory_limit_bytes": 100}),
    "a pool near its limit of tasks": (Cgroup, {"cgroup": "/a", "pids_current": 98, "pids_limit": 100}),
    "a virtual CPU that runs its guest": (Syscall, {**WHO, "syscall_name": "ioctl", "on_cpu_ns": 60_000_000_000}),
    "a copy that keeps a disk's queue full": (
        Block,
        {
            "device_name": "sda",
            "read_ios": (0, 0),
            "read_ticks": (0, 0),
            "write_ios": (0, 90),
            "write_ticks": (0, 90_000),
            "time_in_queue": (0, 90_000),
        },
    ),
    "a call of sync that writes all of a copy": (
        BlockedTask,
        {**WHO, "tid": 7, "blocked_ms": 40_000, "syscall_name": "syncfs", "wchan": "wait_on_page"},
    ),
    "a write of a gigabyte in one call": (Syscall, {**WHO, "syscall_name": "write", "blocked_ns": 9_000_000_000}),
    "a page of a disk that spins up": (PageFault, {**WHO, "latency_ns": 6_000_000_000}),
    "a copy faster than kswapd": (Vmstat, {"allocstall_normal": (0, 4000)}),
    "a data set that is read again and again": (
        Vmstat,
        {"workingset_refault_anon": (0, 0), "workingset_refault_file": (0, 90_000)},
    ),
    "a data set that a group reads again and again": (Cgroup, {"cgroup": "/a", "memory_refaults": (0, 90_000)}),
    "a desktop that wakes up from zram": (Vmstat, {"pswpin": (0, 20_000)}),
    "a build with more jobs than CPUs": (
        Process,
        {**WHO, "comm": "cc1", "start_ticks": 1, "nice": 0, "cpu_delay_ns": (0, 20_000_000_000)},
    ),
    "a crawler that asks hosts that are down": (
        TcpRetransmit,
        {"out_segs": (0, 1000), "retrans_segs": (0, 400), "syn_retrans": (0, 395), "timeouts": (0, 400)},
    ),
    "a server of phones": (TcpRetransmit, {"out_segs": (0, 90_000), "retrans_segs": (0, 900), "timeouts": (0, 300)}),
    "a listener of one client at a time": (
        TcpListener,
        {"address": "::", "port": 80, "backlog": 1, "accept_queue": 1, **WHO},
    ),
    "a job of low priority on a busy host": (Cpu, {**CPU, "idle": (0, 0), "nice": (0, 110), "steal": (0, 90)}),
    "many requests on a device that serves many": (Block, {"device_name": "nvme0n1", "time_in_queue": (0, 400_000)}),
}
"""Seconds that look bad and harm nobody: no signal of them is critical."""
