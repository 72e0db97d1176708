"""The documented views: what a person wants to see first, in a person's units."""

from __future__ import annotations

import apsw

_TIME = "datetime(timestamp / 1000000000, 'unixepoch') AS time, timestamp AS timestamp"

NAMED_VIEWS = {
    # Costs 0.5 us for every row of the last hour, however large the rest is.
    "v_recent_slow_syscalls": f"""CREATE VIEW v_recent_slow_syscalls AS
SELECT {_TIME}, comm, pid, tid, cpu, uid, syscall_nr, syscall_name,
  latency_ns / 1000000.0 AS latency_ms, latency_ns, ret_value, is_error, arg0,
  on_cpu_ns / 1000000.0 AS on_cpu_ms, runqueue_ns / 1000000.0 AS runqueue_ms,
  blocked_ns / 1000000.0 AS blocked_ms, sleep_ns / 1000000.0 AS sleep_ms
FROM syscall_events
WHERE timestamp > (strftime('%s', 'now') - 3600) * 1000000000
ORDER BY latency_ns DESC""",
    "v_memory_pressure": f"""CREATE VIEW v_memory_pressure AS
SELECT {_TIME}, mem_total_kb, mem_available_kb, mem_free_kb,
  (mem_total_kb - mem_available_kb) * 100.0 / nullif(mem_total_kb, 0) AS used_pct,
  swap_total_kb, swap_total_kb - swap_free_kb AS swap_used_kb,
  CASE WHEN swap_total_kb = 0 THEN 0.0
    ELSE (swap_total_kb - swap_free_kb) * 100.0 / swap_total_kb END AS swap_used_pct,
  dirty_kb, writeback_kb
FROM memory_metrics""",
    "v_io_performance": f"""CREATE VIEW v_io_performance AS
SELECT {_TIME}, device,
  read_count AS read_iops, write_count AS write_iops,
  read_bytes / 1000000.0 AS read_mb_s, write_bytes / 1000000.0 AS write_mb_s,
  read_p50_us, read_p95_us, read_p99_us, read_max_us,
  write_p50_us, write_p95_us, write_p99_us, write_max_us
FROM io_latency_stats""",
}
"""Rows of ``io_latency_stats`` cover one second, so its counts are per second."""


def make_named_views(connection: apsw.Connection) -> None:
    """Make the views, or make them again where they are not what they should be; within a transaction."""
    stored = dict(connection.execute("SELECT name, sql FROM sqlite_master WHERE type = 'view'"))
    for name, statement in NAMED_VIEWS.items():
        if stored.get(name) != statement:
            connection.execute(f"DROP VIEW IF EXISTS {name}")
            connection.execute(statement)
