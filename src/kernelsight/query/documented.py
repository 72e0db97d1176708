"""The documented queries: fixed questions with fixed keys, for the programs that are written against them.

Each takes a store (a reader, a path or URL, or a ``DatabaseManager``) and times in any form of
:mod:`kernelsight.query.times`; naive datetimes are local time. Each row has ``time`` (UTC, as SQLite's
``datetime(…, 'unixepoch')`` prints it) and ``timestamp`` (ns since the epoch). MB are 2**20 bytes.
Columns named ``…_s`` are rates a second; the first sample has none, nor has one after a reset.
A ``limit`` of None is none.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping

from kernelsight.errors import UsageError
from kernelsight.events.declare import INT64_MAX
from kernelsight.moments import utc_seconds
from kernelsight.query.dialect import Sql, run
from kernelsight.query.filters import Condition
from kernelsight.query.points import Selection, points_sql
from kernelsight.query.rows import Row, rows_of
from kernelsight.query.source import Source, clipped, kind_named, opened
from kernelsight.query.times import Time, TimeRange, parse_time, time_range
from kernelsight.query.top import top
from kernelsight.stores.base import Value

MB = 1024.0 * 1024.0
SECTOR_BYTES = 512

_TCP_STATES = (
    *("established", "syn_sent", "syn_recv", "fin_wait1", "fin_wait2", "time_wait"),
    *("close", "close_wait", "last_ack", "listen", "closing"),
)
_IO_COLUMNS = tuple(
    f"{way}_{name}" for way in ("read", "write") for name in ("count", "bytes", "p50_us", "p95_us", "p99_us", "max_us")
)
_MEMORY_COLUMNS = (
    *("mem_total_kb", "mem_available_kb", "mem_free_kb", "buffers_kb", "cached_kb", "swap_total_kb"),
    *("swap_free_kb", "active_kb", "inactive_kb", "dirty_kb", "writeback_kb"),
)
_NETWORK_COLUMNS = tuple(f"{way}_{name}" for name in ("bytes", "packets", "errors", "drops") for way in ("rx", "tx"))
_BLOCK_COLUMNS = (
    *("read_ios", "read_sectors", "read_ticks", "write_ios", "write_sectors", "write_ticks"),
    *("in_flight", "io_ticks", "time_in_queue"),
)


def get_timestamp_ns(dt: Time) -> int:
    """Nanoseconds since the epoch of a datetime (naive: local time), to the microsecond exactly."""
    return parse_time(dt)


def query_syscalls_by_timerange(
    db: Source, start: Time, end: Time, min_latency_ms: float | None = None, limit: int | None = 100
) -> list[Row]:
    """The slowest system calls of a time range, slowest first; ``latency_ms`` beside all columns."""
    return _slowest(db, "syscall", time_range(start, end), min_latency_ms, limit)


def query_page_faults_by_timerange(
    db: Source, start: Time, end: Time, min_latency_ms: float | None = None, limit: int | None = 100
) -> list[Row]:
    """The slowest page faults of a time range, slowest first; ``latency_ms`` beside all columns."""
    return _slowest(db, "page_fault", time_range(start, end), min_latency_ms, limit)


def query_sched_events_by_timerange(
    db: Source, start: Time, end: Time, min_latency_ms: float | None = None, limit: int | None = 100
) -> list[Row]:
    """The longest waits for a CPU of a time range, longest first; ``latency_ms`` beside all columns."""
    return _slowest(db, "sched", time_range(start, end), min_latency_ms, limit)


def query_top_processes_by_syscall_latency(db: Source, start: Time, end: Time, limit: int | None = 10) -> list[Row]:
    """The processes whose slow system calls took longest on average, with how many and how many failed."""
    kind, when = kind_named("syscall"), time_range(start, end)
    with opened(db) as reader:
        columns = ("comm", "pid", "latency_ns", "is_error")
        relation, params = reader.relation(kind.table, when.start_ns, when.end_ns, columns)
        text = (
            "SELECT comm, pid, COUNT(*) AS syscall_count, AVG(latency_ns) / 1e6 AS avg_latency_ms,"
            " MAX(latency_ns) / 1e6 AS max_latency_ms, SUM(CASE WHEN is_error THEN 1 ELSE 0 END) AS error_count"
            f" FROM {relation} AS calls WHERE latency_ns IS NOT NULL GROUP BY comm, pid"
            " ORDER BY avg_latency_ms DESC, pid LIMIT ?"
        )
        return run(reader, Sql(text, (*params, _checked_limit(limit))))


def query_io_latency_percentiles(db: Source, start: Time, end: Time) -> list[Row]:
    """Requests, volume and latency percentiles of block I/O, one row a second and device."""
    rows = _rows(db, "io_latency", time_range(start, end), (*_IO_COLUMNS, "device"))
    return [
        row | {"read_mb": _scaled(row["read_bytes"], 1 / MB), "write_mb": _scaled(row["write_bytes"], 1 / MB)}
        for row in rows
    ]


def query_memory_stats(db: Source, start: Time, end: Time, sample_interval_sec: float | None = None) -> list[Row]:
    """Memory of the machine over time; with ``sample_interval_sec`` the mean of each such interval."""
    rows = _sampled(_rows(db, "memory", time_range(start, end), _MEMORY_COLUMNS), sample_interval_sec)
    for row in rows:
        row["swap_used_kb"] = _minus(row["swap_total_kb"], row["swap_free_kb"])
        used = _minus(row["mem_total_kb"], row["mem_available_kb"])
        row["mem_used_pct"] = _ratio(_scaled(used, 100.0), row["mem_total_kb"])
    return rows


def query_load_stats(db: Source, start: Time, end: Time, sample_interval_sec: float | None = None) -> list[Row]:
    """Load averages and task counts over time; with ``sample_interval_sec`` the mean of each such interval."""
    columns = ("load_1min", "load_5min", "load_15min", "running_processes", "total_processes")
    return _sampled(_rows(db, "load", time_range(start, end), columns), sample_interval_sec)


def query_network_bandwidth(db: Source, interface: str, start: Time, end: Time) -> list[Row]:
    """Traffic of one interface: ``rx_mb`` and ``tx_mb`` since it came up, and their rates ``…_mb_s``."""
    rows = _with_rates(db, "network", {"interface_name": interface}, time_range(start, end), _NETWORK_COLUMNS)
    for row in rows:
        for way in ("rx", "tx"):
            row[f"{way}_mb"] = _scaled(row[f"{way}_bytes"], 1 / MB)
            row[f"{way}_mb_s"] = _scaled(row.pop(f"{way}_bytes_s"), 1 / MB)
    return rows


def query_block_io_summary(db: Source, device: str, start: Time, end: Time) -> list[Row]:
    """I/O of one device: ``read_mb`` and ``write_mb`` since boot, their rates, and mean latencies.

    ``avg_…_latency_ms`` is the mean over all requests since boot (0 before the first);
    ``interval_…_latency_ms`` over those that completed since the sample before (None where none did);
    ``busy_pct`` is the share of that time with at least one request in flight.
    """
    rows = _with_rates(db, "block", {"device_name": device}, time_range(start, end), _BLOCK_COLUMNS)
    for row in rows:
        for way in ("read", "write"):
            ios, ticks = row[f"{way}_ios"], row[f"{way}_ticks"]
            row[f"{way}_mb"] = _scaled(row[f"{way}_sectors"], SECTOR_BYTES / MB)
            row[f"{way}_mb_s"] = _scaled(row.pop(f"{way}_sectors_s"), SECTOR_BYTES / MB)
            row[f"avg_{way}_latency_ms"] = 0.0 if ios == 0 else _ratio(ticks, ios)
            row[f"interval_{way}_latency_ms"] = _ratio(row.pop(f"{way}_ticks_s"), row[f"{way}_ios_s"])
        row["busy_pct"] = _scaled(row.pop("io_ticks_s"), 0.1)
    return rows


def query_tcp_connection_summary(db: Source, start: Time, end: Time) -> list[Row]:
    """TCP sockets by state over time, and ``total_connections``, the sum over the states that are known."""
    rows = _rows(db, "tcp", time_range(start, end), _TCP_STATES)
    for row in rows:
        row["total_connections"] = sum(int(value) for name in _TCP_STATES if isinstance(value := row[name], int))
    return rows


def query_tcp_retransmits(db: Source, start: Time, end: Time) -> list[Row]:
    """TCP segments sent and sent again: totals, rates, and ``retransmit_pct``, the share sent again."""
    columns = ("retrans_segs", "out_segs", "listen_overflows", "listen_drops", "timeouts", "syn_retrans")
    rows = _with_rates(db, "tcp_retransmit", {}, time_range(start, end), columns)
    for row in rows:
        again = row["retrans_segs_s"]
        row["retransmit_pct"] = _ratio(_scaled(again, 100.0), row["out_segs_s"])
    return rows


def query_top_processes_by_cpu(db: Source, start: Time, end: Time, limit: int | None = 10) -> list[Row]:
    """The processes that ran most: ``cpu_time_ms`` within the range, from the scheduler's own account."""
    return _by_process(
        top(db, "sched_process", "cpu_time_ms", start, end, by=("comm", "pid"), n=_checked_limit(limit)), "cpu_time_ms"
    )


def query_top_processes_by_memory(db: Source, start: Time, end: Time, limit: int | None = 10) -> list[Row]:
    """The processes with the largest resident memory: the greatest ``rss_kb`` of each within the range."""
    return _by_process(top(db, "process", "rss_kb", start, end, by=("comm", "pid"), n=_checked_limit(limit)), "rss_kb")


def _by_process(rows: list[Row], metric: str) -> list[Row]:
    return [{"comm": row["comm"], "pid": row["pid"], metric: row["value"], "samples": row["count"]} for row in rows]


def _slowest(db: Source, table: str, when: TimeRange, min_latency_ms: float | None, limit: int | None) -> list[Row]:
    kind = kind_named(table)
    if min_latency_ms is not None and not math.isfinite(min_latency_ms):
        raise UsageError(f"min_latency_ms {min_latency_ms}: give a number of milliseconds")
    where = [] if min_latency_ms is None else [Condition("latency_ns", ">=", round(min_latency_ms * 1e6))]
    with opened(db) as reader:
        rows = rows_of(
            reader, kind, when, where=where, order_by="latency_ns", descending=True, limit=_checked_limit(limit)
        )
    return [_with_utc(row) | {"latency_ms": _scaled(row["latency_ns"], 1e-6)} for row in rows]


def _rows(db: Source, table: str, when: TimeRange, columns: Iterable[str]) -> list[Row]:
    with opened(db) as reader:
        return [_with_utc(row) for row in rows_of(reader, kind_named(table), when, columns=columns)]


def _with_rates(
    db: Source, table: str, entity: Mapping[str, Value], when: TimeRange, columns: tuple[str, ...]
) -> list[Row]:
    """Rows with ``c_s`` beside each counter ``c``."""
    kind = kind_named(table)
    tests = tuple(Condition(name, "=", value) for name, value in entity.items())
    with opened(db) as reader:
        rows = [_with_utc(row) for row in rows_of(reader, kind, when, columns=columns, where=entity)]
        part = clipped(reader, kind.table, when)
        if part is None:
            return []
        selection = Selection(kind, columns, part, tests)
        rates = run(reader, points_sql(reader, selection))
    by_time = {row["timestamp"]: row for row in rates}
    return [row | {f"{name}_s": by_time[row["timestamp"]][name] for name in selection.counters} for row in rows]


def _sampled(rows: list[Row], interval_s: float | None) -> list[Row]:
    """The mean of each interval (aligned to the epoch), stamped with the interval's first sample."""
    if interval_s is None:
        return rows
    if not math.isfinite(interval_s) or interval_s * 1e9 < 1:
        raise UsageError(f"sample_interval_sec {interval_s}: give seconds, more than 0")
    width = round(interval_s * 1e9)
    buckets: dict[int, list[Row]] = {}
    for row in rows:
        timestamp = row["timestamp"]
        assert isinstance(timestamp, int)
        buckets.setdefault(timestamp // width, []).append(row)
    return [_mean(bucket) for bucket in buckets.values()]


def _mean(bucket: list[Row]) -> Row:
    mean: Row = {"timestamp": bucket[0]["timestamp"]}
    for name in bucket[0].keys() - {"timestamp", "time"}:
        values = [value for row in bucket if isinstance(value := row[name], (int, float))]
        mean[name] = sum(values) / len(values) if values else None
    return _with_utc(mean)


def _with_utc(row: Row) -> Row:
    """The row with ``timestamp`` and ``time`` first, the latter as the documented SQL gives it."""
    timestamp = row["timestamp"]
    assert isinstance(timestamp, int)
    return {"timestamp": timestamp, "time": None} | row | {"time": utc_seconds(timestamp)}


def _scaled(value: Value, factor: float) -> float | None:
    return value * factor if isinstance(value, (int, float)) else None


def _minus(total: Value, part: Value) -> float | None:
    return total - part if isinstance(total, (int, float)) and isinstance(part, (int, float)) else None


def _ratio(part: Value, whole: Value) -> float | None:
    if not isinstance(part, (int, float)) or not isinstance(whole, (int, float)) or not whole:
        return None
    return part / whole


def _checked_limit(limit: int | None) -> int:
    """At most so many rows; None: all."""
    if limit is None:
        return INT64_MAX
    if not 0 <= limit <= INT64_MAX:
        raise UsageError(f"limit {limit}: give a number of rows, 0 or more")
    return limit
