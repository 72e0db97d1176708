"""The views of the screen, each declared: which columns, made of which rows."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Iterator

from kernelsight.events.block import Block, IoLatency
from kernelsight.events.cgroup import Cgroup
from kernelsight.events.network import Network
from kernelsight.events.pending_wait import PendingWait
from kernelsight.events.process import Process
from kernelsight.events.scheduler import SchedProcess, Wait
from kernelsight.events.service import ServiceStats
from kernelsight.events.syscalls import Syscall
from kernelsight.surfaces.top.look import Look, Sample, level, rate
from kernelsight.surfaces.top.table import Head, Row, View

_SECTOR = 512
_CALLS_S = 10.0
"""Slow calls are seldom: those of so many seconds are shown together."""

_PROCESS = (
    Process.pid, Process.uid, Process.comm, Process.state, Process.threads, Process.utime_ms, Process.stime_ms,
    Process.rss_kb, Process.read_bytes, Process.write_bytes, Process.cpu_delay_ns,
)  # fmt: skip
_SCHED = (
    SchedProcess.comm, SchedProcess.cpu_time_ms, SchedProcess.runqueue_ms, SchedProcess.context_switches,
    SchedProcess.avg_timeslice_us, SchedProcess.forks,
)  # fmt: skip
_BLOCK = (
    Block.read_ios, Block.write_ios, Block.read_sectors, Block.write_sectors, Block.io_ticks, Block.time_in_queue,
)  # fmt: skip
_LATENCY = (IoLatency.read_p95_us, IoLatency.write_p95_us, IoLatency.errors)
_GROUP = (
    Cgroup.cpu_usage_us, Cgroup.cpu_throttled_us, Cgroup.memory_current_bytes, Cgroup.memory_limit_bytes,
    Cgroup.io_read_bytes, Cgroup.io_write_bytes, Cgroup.pids_current,
)  # fmt: skip
_NETWORK = (
    Network.rx_bytes, Network.tx_bytes, Network.rx_packets, Network.tx_packets, Network.rx_drops, Network.tx_drops,
    Network.rx_errors, Network.tx_errors,
)  # fmt: skip


def _share(per_second: float | None, whole: float) -> float | None:
    return None if per_second is None else 100 * per_second / whole


def _processes(look: Look) -> Iterator[Row]:
    queued = {sample.row.pid: sample.row.runqueue_ms for sample in look.samples(SchedProcess, _SCHED)}
    for sample in look.samples(Process, _PROCESS):
        row = sample.row
        waited = queued.get(row.pid) if queued else _ms(rate(sample, Process.cpu_delay_ns))
        yield Row(
            ("process", row.pid, row.start_ticks),
            (
                row.pid,
                row.uid,
                row.comm,
                row.state,
                _share(rate(sample, Process.utime_ms, Process.stime_ms), 1_000),
                _share(waited, 1_000),
                row.rss_kb,
                rate(sample, Process.read_bytes),
                rate(sample, Process.write_bytes),
                row.threads,
            ),
        )


def _ms(per_second_ns: float | None) -> float | None:
    return None if per_second_ns is None else per_second_ns / 1e6


def _groups(look: Look) -> Iterator[Row]:
    for sample in look.samples(Cgroup, _GROUP):
        row = sample.row
        yield Row(
            ("group", row.cgroup),
            (
                row.cgroup,
                _share(rate(sample, Cgroup.cpu_usage_us), 1e6),
                _share(rate(sample, Cgroup.cpu_throttled_us), 1e6),
                row.memory_current_bytes,
                row.memory_limit_bytes,
                rate(sample, Cgroup.io_read_bytes),
                rate(sample, Cgroup.io_write_bytes),
                row.pids_current,
            ),
        )


def _devices(look: Look) -> Iterator[Row]:
    slow = {level(sample, IoLatency.device): sample.row for sample in look.samples(IoLatency, _LATENCY)}
    for sample in look.samples(Block, _BLOCK):
        latency = slow.get(sample.row.device_name)
        yield Row(
            ("device", sample.row.device_name),
            (
                sample.row.device_name,
                _share(rate(sample, Block.io_ticks), 1_000),
                _divided(rate(sample, Block.time_in_queue), 1_000),
                rate(sample, Block.read_ios),
                rate(sample, Block.write_ios),
                _times(rate(sample, Block.read_sectors), _SECTOR),
                _times(rate(sample, Block.write_sectors), _SECTOR),
                latency.read_p95_us if latency else None,
                latency.write_p95_us if latency else None,
            ),
        )


def _divided(value: float | None, by: float) -> float | None:
    return None if value is None else value / by


def _times(value: float | None, factor: float) -> float | None:
    return None if value is None else value * factor


def _interfaces(look: Look) -> Iterator[Row]:
    for sample in look.samples(Network, _NETWORK):
        yield Row(
            ("interface", sample.row.interface_name),
            (
                sample.row.interface_name,
                rate(sample, Network.rx_bytes),
                rate(sample, Network.tx_bytes),
                rate(sample, Network.rx_packets),
                rate(sample, Network.tx_packets),
                rate(sample, Network.rx_drops, Network.tx_drops),
                rate(sample, Network.rx_errors, Network.tx_errors),
            ),
        )


def _run_queue(look: Look) -> Iterator[Row]:
    for sample in look.samples(SchedProcess, _SCHED):
        row = sample.row
        yield Row(
            ("process", row.pid),
            (
                row.pid,
                row.comm,
                _divided(rate(sample, SchedProcess.runqueue_ms), 10),
                _divided(rate(sample, SchedProcess.cpu_time_ms), 10),
                rate(sample, SchedProcess.context_switches),
                row.avg_timeslice_us,
                rate(sample, SchedProcess.forks),
            ),
        )


def _slow_calls(look: Look) -> Iterator[Row]:
    calls: dict[tuple[str | None, str | None], list[Syscall]] = defaultdict(list)
    for row in look.within(Syscall, _CALLS_S):
        calls[row.comm, row.syscall_name].append(row)
    for (comm, name), rows in calls.items():
        whole = sum(row.latency_ns or 0 for row in rows)
        yield Row(
            ("call", comm, name),
            (
                comm,
                name,
                float(len(rows)),
                max(row.latency_ns or 0 for row in rows) / 1e6,
                whole / 1e6 / len(rows),
                _part((row.on_cpu_ns for row in rows), whole),
                _part((row.runqueue_ns for row in rows), whole),
                _part((row.blocked_ns for row in rows), whole),
                _part((row.sleep_ns for row in rows), whole),
            ),
        )


def _part(parts: Iterable[int | None], whole: float) -> float | None:
    known = [part for part in parts if part is not None]
    return 100 * sum(known) / whole if known and whole else None


def _services(look: Look) -> Iterator[Row]:
    columns = (
        ServiceStats.comm, ServiceStats.requests, ServiceStats.latency_p50_us, ServiceStats.latency_p95_us,
        ServiceStats.latency_max_us, ServiceStats.queue_p95_us, ServiceStats.in_flight,
        ServiceStats.oldest_unanswered_ms, ServiceStats.connections,
    )  # fmt: skip
    for sample in look.samples(ServiceStats, columns):
        row = sample.row
        yield Row(
            ("service", row.protocol, row.address, row.port, row.netns),
            (
                f"{row.comm or '?'} {row.address or ''}:{row.port}",
                rate(sample, ServiceStats.requests),
                row.latency_p50_us,
                row.latency_p95_us,
                row.latency_max_us,
                row.queue_p95_us,
                row.in_flight,
                row.oldest_unanswered_ms,
                row.connections,
            ),
        )


def _waits(look: Look) -> Iterator[Row]:
    """Who waits for whom: waits that ended in this second, and those that go on."""
    columns = (Wait.comm, Wait.waker_comm, Wait.count, Wait.wait_ns, Wait.max_wait_ns)
    for sample in look.samples(Wait, columns):
        row = sample.row
        if not row.waker_pid and row.state == "interruptible":
            continue  # it has nothing to do
        yield Row(
            ("wait", row.pid, row.waker_pid, row.waits_in, row.state),
            (
                _named(row.comm, row.pid),
                _named(row.waker_comm, row.waker_pid) if row.waker_pid else "timer or device",
                row.waits_in or row.state,
                _divided(rate(sample, Wait.wait_ns), 1e6),
                rate(sample, Wait.count),
                _divided(row.max_wait_ns, 1e6),
            ),
        )
    pending = (
        PendingWait.comm, PendingWait.peer_comm, PendingWait.waited_ms, PendingWait.connections,
    )  # fmt: skip
    for going in look.samples(PendingWait, pending):
        yield _pending(going)


def _pending(sample: Sample[PendingWait]) -> Row:
    row = sample.row
    peer = _named(row.peer_comm, row.peer_pid) if row.peer_pid else f"{row.address or '?'}:{row.port or '?'}"
    return Row(
        ("pending", row.pid, row.waits_for, row.peer_pid, row.address, row.port),
        (_named(row.comm, row.pid), peer, f"still {row.waits_for}", row.waited_ms, row.connections, row.waited_ms),
    )


def _named(comm: str | None, pid: int | None) -> str:
    return f"{comm or '?'} {pid}"


_RUNS = "the collectors of this view recorded nothing in this second; `kernelsight status` says which run"

VIEWS: tuple[View, ...] = (
    View(
        name="processes",
        key="1",
        heads=(
            Head("PID", 7, "id"),
            Head("UID", 5, "id"),
            Head("NAME", 15, "text", stretches=True),
            Head("S", 1, "text"),
            Head("CPU%", 5, "%"),
            Head("QUEUE%", 6, "%"),
            Head("MEMORY", 8, "KiB"),
            Head("READ", 9, "B/s"),
            Head("WRITE", 9, "B/s"),
            Head("THR", 4),
        ),
        rows=_processes,
        sorts_by=4,
        empty=_RUNS,
    ),
    View(
        name="groups",
        key="2",
        heads=(
            Head("GROUP", 21, "path", stretches=True),
            Head("CPU%", 5, "%"),
            Head("HELD%", 5, "%"),
            Head("MEMORY", 8, "B"),
            Head("LIMIT", 8, "B"),
            Head("READ", 9, "B/s"),
            Head("WRITE", 9, "B/s"),
            Head("TASKS", 5),
        ),
        rows=_groups,
        sorts_by=1,
        empty=_RUNS,
    ),
    View(
        name="disks",
        key="3",
        heads=(
            Head("DEVICE", 12, "text", stretches=True),
            Head("BUSY%", 5, "%"),
            Head("QUEUE", 5),
            Head("READS", 6),
            Head("WRITES", 6),
            Head("READ", 9, "B/s"),
            Head("WRITE", 9, "B/s"),
            Head("P95 READ", 8, "us"),
            Head("P95 WRITE", 9, "us"),
        ),
        rows=_devices,
        sorts_by=1,
        empty=_RUNS,
    ),
    View(
        name="net",
        key="4",
        heads=(
            Head("INTERFACE", 15, "text", stretches=True),
            Head("RECEIVED", 9, "B/s"),
            Head("SENT", 9, "B/s"),
            Head("PACKETS IN", 10),
            Head("OUT", 8),
            Head("DROPS", 6),
            Head("ERRORS", 6),
        ),
        rows=_interfaces,
        sorts_by=1,
        empty=_RUNS,
    ),
    View(
        name="queue",
        key="5",
        heads=(
            Head("PID", 7, "id"),
            Head("NAME", 15, "text", stretches=True),
            Head("QUEUE%", 7, "%"),
            Head("CPU%", 7, "%"),
            Head("SWITCHES", 9),
            Head("SLICE", 8, "us"),
            Head("FORKS", 6),
        ),
        rows=_run_queue,
        sorts_by=2,
        empty="the scheduler's tracer recorded nothing in this second: it needs root, see `kernelsight doctor`",
    ),
    View(
        name="calls",
        key="6",
        heads=(
            Head("NAME", 15, "text"),
            Head("CALL", 12, "text", stretches=True),
            Head("CALLS", 5),
            Head("LONGEST", 8, "ms"),
            Head("MEAN", 8, "ms"),
            Head("CPU%", 5, "%"),
            Head("QUEUE%", 6, "%"),
            Head("DISK%", 5, "%"),
            Head("SLEEP%", 6, "%"),
        ),
        rows=_slow_calls,
        sorts_by=3,
        empty="no slow call ended within 10 s, or the tracer of calls does not run: see `kernelsight doctor`",
    ),
    View(
        name="services",
        key="7",
        heads=(
            Head("SERVICE", 20, "text", stretches=True),
            Head("REQ/s", 7),
            Head("P50", 7, "us"),
            Head("P95", 7, "us"),
            Head("MAX", 7, "us"),
            Head("QUEUED", 7, "us"),
            Head("OPEN", 5),
            Head("OLDEST", 7, "ms"),
            Head("CONN", 4),
        ),
        rows=_services,
        sorts_by=1,
        empty="no service was seen in this second, or its tracer does not run: see `kernelsight doctor`",
    ),
    View(
        name="waits",
        key="8",
        heads=(
            Head("WHO WAITS", 20, "text", stretches=True),
            Head("FOR WHOM", 20, "text"),
            Head("IN", 13, "text"),
            Head("WAITED", 7, "ms"),
            Head("TIMES", 5),
            Head("LONGEST", 7, "ms"),
        ),
        rows=_waits,
        sorts_by=3,
        empty="nobody waited in this second, or the tracer of waits does not run: see `kernelsight doctor`",
    ),
)
