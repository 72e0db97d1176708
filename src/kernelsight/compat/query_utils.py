"""The documented ``query_utils``: the documented queries, and a demonstration of each."""

from __future__ import annotations

import argparse
import io
import os
import sys
from collections.abc import Callable, Iterable, Sequence

from kernelsight.errors import KernelSightError
from kernelsight.events.wire import tables
from kernelsight.moments import format_time
from kernelsight.query.documented import (
    get_timestamp_ns,
    query_block_io_summary,
    query_io_latency_percentiles,
    query_load_stats,
    query_memory_stats,
    query_network_bandwidth,
    query_page_faults_by_timerange,
    query_sched_events_by_timerange,
    query_syscalls_by_timerange,
    query_tcp_connection_summary,
    query_tcp_retransmits,
    query_top_processes_by_cpu,
    query_top_processes_by_memory,
    query_top_processes_by_syscall_latency,
)
from kernelsight.query.rows import Row
from kernelsight.query.source import opened
from kernelsight.query.times import TimeRange
from kernelsight.stores.base import DEFAULT_DB_PATH, Reader, store

__all__ = [
    "get_timestamp_ns",
    "main",
    "query_block_io_summary",
    "query_io_latency_percentiles",
    "query_load_stats",
    "query_memory_stats",
    "query_network_bandwidth",
    "query_page_faults_by_timerange",
    "query_sched_events_by_timerange",
    "query_syscalls_by_timerange",
    "query_tcp_connection_summary",
    "query_tcp_retransmits",
    "query_top_processes_by_cpu",
    "query_top_processes_by_memory",
    "query_top_processes_by_syscall_latency",
]

HOUR_NS = 3_600_000_000_000
_SHOWN = 5

Ask = Callable[[Reader, int, int], list[Row]]
"""One question about a range of time."""

_DEMO: Sequence[tuple[str, str, Ask, tuple[str, ...]]] = (
    (
        "Slowest system calls",
        "query_syscalls_by_timerange(db, start, end, limit=5)",
        lambda db, start, end: query_syscalls_by_timerange(db, start, end, limit=_SHOWN),
        ("time", "pid", "comm", "syscall_name", "latency_ms", "ret_value"),
    ),
    (
        "Processes with the slowest system calls",
        "query_top_processes_by_syscall_latency(db, start, end, limit=5)",
        lambda db, start, end: query_top_processes_by_syscall_latency(db, start, end, limit=_SHOWN),
        ("pid", "comm", "syscall_count", "avg_latency_ms", "max_latency_ms", "error_count"),
    ),
    (
        "Slowest page faults",
        "query_page_faults_by_timerange(db, start, end, limit=5)",
        lambda db, start, end: query_page_faults_by_timerange(db, start, end, limit=_SHOWN),
        ("time", "pid", "comm", "fault_type", "access_type", "latency_ms"),
    ),
    (
        "Longest waits for a CPU",
        "query_sched_events_by_timerange(db, start, end, limit=5)",
        lambda db, start, end: query_sched_events_by_timerange(db, start, end, limit=_SHOWN),
        ("time", "pid", "comm", "cpu", "latency_ms"),
    ),
    (
        "Processes that ran most",
        "query_top_processes_by_cpu(db, start, end, limit=5)",
        lambda db, start, end: query_top_processes_by_cpu(db, start, end, limit=_SHOWN),
        ("pid", "comm", "cpu_time_ms", "samples"),
    ),
    (
        "Processes with the most memory",
        "query_top_processes_by_memory(db, start, end, limit=5)",
        lambda db, start, end: query_top_processes_by_memory(db, start, end, limit=_SHOWN),
        ("pid", "comm", "rss_kb", "samples"),
    ),
    (
        "Memory",
        "query_memory_stats(db, start, end)[-5:]",
        query_memory_stats,
        ("time", "mem_total_kb", "mem_available_kb", "mem_used_pct", "cached_kb", "swap_used_kb"),
    ),
    (
        "Load",
        "query_load_stats(db, start, end)[-5:]",
        query_load_stats,
        ("time", "load_1min", "load_5min", "load_15min", "running_processes", "total_processes"),
    ),
    (
        "Block I/O latency",
        "query_io_latency_percentiles(db, start, end)[-5:]",
        query_io_latency_percentiles,
        ("time", "device", "read_count", "write_count", "read_p95_us", "write_p95_us", "write_max_us"),
    ),
    (
        "Block devices",
        "query_block_io_summary(db, device, start, end)[-1:] of each",
        lambda db, start, end: [
            {"device": device, **row}
            for device in _names(db, "block_stats", "device_name", start, end)
            for row in query_block_io_summary(db, device, start, end)[-1:]
        ],
        ("time", "device", "read_mb", "write_mb", "read_mb_s", "write_mb_s", "in_flight", "busy_pct"),
    ),
    (
        "Network interfaces",
        "query_network_bandwidth(db, interface, start, end)[-1:] of each",
        lambda db, start, end: [
            {"interface": interface, **row}
            for interface in _names(db, "network_interface_stats", "interface_name", start, end)
            for row in query_network_bandwidth(db, interface, start, end)[-1:]
        ],
        ("time", "interface", "rx_mb", "tx_mb", "rx_mb_s", "tx_mb_s", "rx_drops", "tx_drops"),
    ),
    (
        "TCP connections",
        "query_tcp_connection_summary(db, start, end)[-5:]",
        query_tcp_connection_summary,
        ("time", "established", "listen", "time_wait", "close_wait", "total_connections"),
    ),
    (
        "TCP retransmissions",
        "query_tcp_retransmits(db, start, end)[-5:]",
        query_tcp_retransmits,
        ("time", "retrans_segs", "retrans_segs_s", "out_segs_s", "retransmit_pct"),
    ),
)


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the command line; returns the exit code."""
    options = argparse.ArgumentParser(
        prog="query_utils.py", description="Ask a database the documented questions; `kernelsight query` has more."
    )
    options.add_argument("--db-path", default=os.environ.get("KERNELSIGHT_DB_PATH", DEFAULT_DB_PATH))
    options.add_argument("--demo", action="store_true", help="ask each question about the last hour of data")
    given = options.parse_args(arguments)
    if not given.demo:
        options.print_help()
        return 0
    if not store(given.db_path).exists():
        print(f"{given.db_path}: no data yet; ./start_kernelsight.sh collects some")
        return 0
    if isinstance(sys.stdout, io.TextIOWrapper):  # names that its encoding cannot say get backslashes
        sys.stdout.reconfigure(errors="backslashreplace")
    try:
        with opened(given.db_path) as reader:
            print("\n".join(demo(reader)), flush=True)
    except BrokenPipeError:  # `| head` has seen enough; the interpreter must not try to flush again
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
    except KernelSightError as error:
        print(f"query_utils.py: {error}", file=sys.stderr)
        return error.exit_code
    return 0


def demo(reader: Reader) -> Iterable[str]:
    """Lines that show every documented query on the last hour that has data."""
    counts = {table: count for table in tables() if (count := reader.count(table))}
    bounds = [bounds for table in counts if (bounds := reader.bounds(table))]
    if not bounds:
        yield "The database is empty; ./start_kernelsight.sh fills it."
        return
    yield "Rows"
    yield from (f"  {table:<26} {count:>12,}" for table, count in counts.items())
    end = max(last for _, last in bounds)
    when = TimeRange(max(end - HOUR_NS, min(first for first, _ in bounds)), end)
    yield f"\nFrom {format_time(when.start_ns)} to {format_time(when.end_ns)}"
    for title, call, ask, columns in _DEMO:
        yield f"\n{title}: {call}"
        rows = ask(reader, when.start_ns, when.end_ns)
        yield from _table(rows[-_SHOWN:], columns) if rows else ["  (none)"]


def _table(rows: list[Row], columns: Sequence[str]) -> Iterable[str]:
    cells = [list(columns), *([_cell(row[name]) for name in columns] for row in rows)]
    widths = [max(len(line[place]) for line in cells) for place in range(len(columns))]
    for line in cells:
        yield "  " + "  ".join(text.rjust(width) for text, width in zip(line, widths, strict=True))


def _cell(value: object) -> str:
    if value is None:
        return "-"
    text = f"{value:.2f}" if isinstance(value, float) else str(value)
    # Names of processes and interfaces are other people's text: no control characters reach the terminal.
    return "".join(letter if letter.isprintable() else "?" for letter in text)


def _names(reader: Reader, table: str, column: str, start_ns: int, end_ns: int) -> list[str]:
    relation, params = reader.relation(table, start_ns, end_ns, [column])
    rows = reader.query(f"SELECT DISTINCT {column} FROM {relation} AS named ORDER BY {column}", params)
    return [str(row[column]) for row in rows if row[column] is not None]
