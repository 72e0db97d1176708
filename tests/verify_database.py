"""Check a database that the documented pipeline has filled; exits with 0 when all is as documented, 1 otherwise.

    python tests/verify_database.py [--db-path data/test.db]

Everything is read through the stock ``sqlite3`` module, as anybody else's program would.
"""

from __future__ import annotations

import argparse
import sqlite3
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from urllib.parse import quote

import pipeline_path  # noqa: F401 - finds the project's Python
from kernelsight.events.wire import tables
from kernelsight.stores.sqlite.ddl import index_columns, index_name, segment_name

# The documented columns, typed from the document and not taken from the declarations that they are checked against.
COLUMNS = {
    "syscall_events": "timestamp pid tid cpu uid syscall_nr syscall_name latency_ns ret_value is_error arg0 comm",
    "page_fault_events": "timestamp pid tid cpu address latency_ns fault_type access_type user_mode comm",
    "io_latency_stats": "timestamp read_count read_bytes read_p50_us read_p95_us read_p99_us read_max_us"
    " write_count write_bytes write_p50_us write_p95_us write_p99_us write_max_us",
    "sched_events": "timestamp pid tid cpu latency_ns prev_state next_pid comm",
    "memory_metrics": "timestamp mem_total_kb mem_free_kb mem_available_kb buffers_kb cached_kb swap_total_kb"
    " swap_free_kb active_kb inactive_kb dirty_kb writeback_kb",
    "load_metrics": "timestamp load_1min load_5min load_15min running_processes total_processes last_pid",
    "block_stats": "timestamp device_name read_ios read_merges read_sectors read_ticks write_ios write_merges"
    " write_sectors write_ticks in_flight io_ticks time_in_queue",
    "network_interface_stats": "timestamp interface_name rx_bytes rx_packets rx_errors rx_drops"
    " tx_bytes tx_packets tx_errors tx_drops",
    "tcp_stats": "timestamp established syn_sent syn_recv fin_wait1 fin_wait2 time_wait close close_wait last_ack"
    " listen closing",
    "tcp_retransmit_stats": "timestamp retrans_segs",
}
VIEWS = ("v_recent_slow_syscalls", "v_memory_pressure", "v_io_performance")

# What must be true of no row.
WRONG = {
    "syscall_events": "latency_ns < 0 OR latency_ns IS NULL OR (is_error = 1 AND ret_value > 0)",
    "page_fault_events": "latency_ns < 0 OR fault_type NOT IN ('major', 'minor')",
    "sched_events": "latency_ns < 0",
    "io_latency_stats": "read_p50_us > read_p95_us OR read_p95_us > read_p99_us OR read_p99_us > read_max_us"
    " OR write_p50_us > write_p95_us OR write_p95_us > write_p99_us OR write_p99_us > write_max_us",
    "memory_metrics": "mem_available_kb > mem_total_kb OR swap_free_kb > swap_total_kb OR mem_total_kb <= 0",
    "load_metrics": "load_1min < 0 OR load_5min < 0 OR load_15min < 0",
    "block_stats": "device_name IS NULL OR read_ios < 0 OR write_ios < 0 OR in_flight < 0",
    "network_interface_stats": "interface_name IS NULL OR rx_bytes < 0 OR tx_bytes < 0",
    "tcp_stats": "established < 0 OR time_wait < 0 OR close_wait < 0",
    "tcp_retransmit_stats": "retrans_segs < 0",
}
EARLIEST_NS = 1_000_000_000_000_000_000
HOUR_NS = 3_600_000_000_000

Problems = Iterator[str]


def integrity(db: sqlite3.Connection) -> Problems:
    """The file itself."""
    yield from (f"integrity_check: {said}" for (said,) in db.execute("PRAGMA integrity_check") if said != "ok")
    [(mode,)] = db.execute("PRAGMA journal_mode")
    if mode != "wal":
        yield f"journal_mode is {mode}, not wal"


def columns(db: sqlite3.Connection) -> Problems:
    """Every table has its columns, the documented ones by their documented names."""
    for table, kind in tables().items():
        stored = {name for (name,) in db.execute("SELECT name FROM pragma_table_info(?)", (table,))}
        wanted = {*kind.column_names, *COLUMNS.get(table, "").split()}
        yield from (f"{table} has no column {name}" for name in sorted(wanted - stored))


def counts(db: sqlite3.Connection) -> Problems:
    """Every documented table has rows."""
    for table in COLUMNS:
        [(count,)] = db.execute(f"SELECT COUNT(*) FROM {table}")
        if not count:
            yield f"{table} is empty"


def views(db: sqlite3.Connection) -> Problems:
    """The documented views can be read."""
    for view in VIEWS:
        try:
            db.execute(f"SELECT * FROM {view} LIMIT 1").fetchall()
        except sqlite3.Error as error:
            yield f"{view}: {error}"


def indexes(db: sqlite3.Connection) -> Problems:
    """A full segment has all declared indexes; the one that takes inserts is found by its ids, which follow time."""
    stored = {name for (name,) in db.execute("SELECT name FROM sqlite_master WHERE type = 'index'")}
    full = db.execute("SELECT table_name, number FROM segments WHERE full").fetchall()
    for table, number in full:
        for names in index_columns(tables()[table]):
            if (name := index_name(table, number, names)) not in stored:
                yield f"no index {name}"
    for table, number in db.execute("SELECT table_name, max(number) FROM segments GROUP BY table_name"):
        plan = f"EXPLAIN QUERY PLAN SELECT * FROM {segment_name(table, number)} WHERE id BETWEEN 1 AND 2"
        if not any("INTEGER PRIMARY KEY" in row[-1] for row in db.execute(plan)):
            yield f"{table}: a range of time scans segment {number}"


def values(db: sqlite3.Connection) -> Problems:
    """No stamp is outside of time, no value impossible."""
    latest = time.time_ns() + HOUR_NS
    for table in tables():
        [(wrong,)] = db.execute(
            f"SELECT COUNT(*) FROM {table} WHERE timestamp NOT BETWEEN ? AND ?", (EARLIEST_NS, latest)
        )
        if wrong:
            yield f"{table}: {wrong} rows with a timestamp before 2001 or in the future"
    for table, test in WRONG.items():
        [(wrong,)] = db.execute(f"SELECT COUNT(*) FROM {table} WHERE {test}")
        if wrong:
            yield f"{table}: {wrong} rows with {test}"


def books(db: sqlite3.Connection) -> Problems:
    """Every line is accounted for."""
    lines = "SELECT kind, lines, stored + rejected + dropped + in_memory FROM collectors"
    for kind, read, known in db.execute(lines):
        if read != known:
            yield f"{kind}: {read} lines read, {known} accounted for"


CHECKS: tuple[Callable[[sqlite3.Connection], Problems], ...] = (
    integrity,
    columns,
    counts,
    views,
    indexes,
    values,
    books,
)


def report(db: sqlite3.Connection) -> bool:
    """Print what there is and what is wrong; returns whether nothing is."""
    for table in tables():
        [(count, first, last)] = db.execute(
            f"SELECT COUNT(*), datetime(min(timestamp) / 1000000000, 'unixepoch'),"
            f" datetime(max(timestamp) / 1000000000, 'unixepoch') FROM {table}"
        )
        print(f"  {table:<26} {count:>10,}" + (f"   {first} to {last} UTC" if count else ""))
    [(rejected,)] = db.execute("SELECT COUNT(*) FROM rejected_events")
    print(f"  {'rejected_events':<26} {rejected:>10,}\n")
    good = True
    for check in CHECKS:
        problems = list(check(db))
        good = good and not problems
        print(f"{'FAILED' if problems else 'ok':<7} {check.__name__:<10} {check.__doc__}")
        print("".join(f"          {problem}\n" for problem in problems), end="")
    return good


def main() -> int:
    """Run the command line; returns the exit code."""
    options = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    options.add_argument("--db-path", type=Path, default=Path("data/test.db"), help="default: data/test.db")
    path = options.parse_args().db_path
    if not path.is_file():
        print(f"{path}: no such database; tests/generate_test_data.py shows how to fill it")
        return 1
    db = sqlite3.connect(f"file:{quote(str(path.absolute()))}?mode=ro", uri=True)
    try:
        print(path)
        good = report(db)
    except sqlite3.Error as error:
        print(f"FAILED  {path} cannot be read: {error}")
        good = False
    finally:
        db.close()
    print("\nall as documented" if good else "\nnot as documented")
    return 0 if good else 1


if __name__ == "__main__":
    sys.exit(main())
