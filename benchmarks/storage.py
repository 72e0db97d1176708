#!/usr/bin/env python3
"""What the SQLite store can do on this machine: prints one JSON object.

    python benchmarks/storage.py [--rows N] [--batch N] [--rounds N] [--seed N] [--path FILE]

Rows are system calls of 300 processes with exponential latencies, in the order of time, made before
the clock starts. Each figure is the median over the rounds, with all of them beside it.
"""

from __future__ import annotations

import argparse
import json
import random
import sqlite3
import statistics
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

from kernelsight.events.syscalls import Syscall
from kernelsight.stores.base import Account, Batch, Row
from kernelsight.stores.sqlite.layout import SEGMENT_ROWS
from kernelsight.stores.sqlite.reader import SqliteReader
from kernelsight.stores.sqlite.writer import SqliteWriter

NAMES = ("read", "write", "openat", "futex", "epoll_wait", "fsync", "pread64", "recvfrom")
SECOND = 10**9


def make_rows(count: int, seed: int) -> list[Row]:
    """System calls 1 us apart on average, ending now."""
    chance = random.Random(seed)
    processes = [(chance.randrange(300, 4_000_000), f"worker-{chance.randrange(40)}") for _ in range(300)]
    stamp = time.time_ns() - count * 1000
    rows: list[Row] = []
    for _ in range(count):
        stamp += chance.randrange(1, 2000)
        pid, comm = processes[chance.randrange(300)]
        number = chance.randrange(len(NAMES))
        latency = 10_000_000 + int(chance.expovariate(1 / 30e6))
        parts = (latency // 10, None, latency - latency // 10, None)
        rows.append(
            (stamp, pid, pid, number & 3, 1000, number, NAMES[number], latency, 0, False, 7, comm, *parts, 4711)
        )
    return rows


def load(path: Path, rows: list[Row], batch: int, *, seal: bool) -> dict[str, float]:
    """Write all rows in batches; with the seals, the time includes every index."""
    writer = SqliteWriter(path, segment_rows=SEGMENT_ROWS if seal else len(rows) + 1)
    commits: list[float] = []
    begun = time.perf_counter()
    for start in range(0, len(rows), batch):
        part = rows[start : start + batch]
        account = Account(lines=start + len(part), stored=start + len(part))
        before = time.perf_counter()
        writer.write(Batch({Syscall: part}, [], {"syscall": account}))
        commits.append(time.perf_counter() - before)
    while seal and writer.unsealed():
        writer.maintain(budget_s=0.001)
    took = time.perf_counter() - begun
    writer.close()
    commits.sort()
    return {
        "rows_per_s": len(rows) / took,
        "commit_p50_ms": 1e3 * commits[len(commits) // 2],
        "commit_p99_ms": 1e3 * commits[min(len(commits) - 1, len(commits) * 99 // 100)],
        "commit_max_ms": 1e3 * commits[-1],
        "bytes_per_row": path.stat().st_size / len(rows),
    }


def offered(path: Path, rows: list[Row], rate: int) -> dict[str, float]:
    """Write rows as they arrive at a rate, a hundred or more at once, with upkeep every second."""
    writer = SqliteWriter(path)
    commits: list[float] = []
    written = 0
    begun = upkept = time.perf_counter()
    while written < len(rows):
        now = time.perf_counter()
        arrived = min(len(rows), int((now - begun) * rate))
        if arrived - written >= 100 or arrived == len(rows):
            writer.write(Batch({Syscall: rows[written:arrived]}))
            commits.append(time.perf_counter() - now)
            written = arrived
        elif now - upkept > 1:
            writer.maintain(budget_s=0.05)
            upkept = now
        else:
            time.sleep(0.0005)
    writer.close()
    commits.sort()
    name = f"offered_{rate}_per_s_commit"
    return {
        f"{name}_p50_ms": 1e3 * commits[len(commits) // 2],
        f"{name}_p99_ms": 1e3 * commits[len(commits) * 99 // 100],
        f"{name}_max_ms": 1e3 * commits[-1],
    }


def timed(action: Callable[[], object], times: int) -> float:
    """Median milliseconds of an action."""
    taken = []
    for _ in range(times):
        before = time.perf_counter()
        action()
        taken.append(1e3 * (time.perf_counter() - before))
    return statistics.median(taken)


def read(path: Path, rows: list[Row], chance: random.Random) -> dict[str, float]:
    """The questions that people ask, through the public view (stock sqlite3) and through the reader."""
    stock = sqlite3.connect(f"file:{path}?mode=ro", uri=True)
    reader = SqliteReader(path)
    first, last = int(str(rows[0][0])), int(str(rows[-1][0]))

    def ask(sql: str, *params: object) -> list[Any]:
        return stock.execute(sql, params).fetchall()

    def range_of(span: int) -> tuple[int, int]:
        start = chance.randrange(first, last - span)
        return start, start + span

    def by_relation(span: int) -> None:
        relation, params = reader.relation("syscall_events", *range_of(span), ["latency_ns"])
        reader.query(f"SELECT count(*), avg(latency_ns) FROM {relation}", params)

    pids = [row[1] for row in rows[:1000]]
    figures = {
        "view_top10_by_latency_ms": timed(
            lambda: ask("SELECT * FROM syscall_events ORDER BY latency_ns DESC LIMIT 10"), 5
        ),
        "view_10ms_range_ms": timed(
            lambda: ask(
                "SELECT count(*) FROM syscall_events WHERE timestamp BETWEEN ? AND ?", *range_of(SECOND // 100)
            ),
            21,
        ),
        "view_pid_range_ms": timed(
            lambda: ask(
                "SELECT count(*) FROM syscall_events WHERE pid = ? AND timestamp BETWEEN ? AND ?",
                chance.choice(pids),
                *range_of(SECOND // 10),
            ),
            21,
        ),
        "relation_10ms_range_ms": timed(lambda: by_relation(SECOND // 100), 21),
        "relation_100ms_range_ms": timed(lambda: by_relation(SECOND // 10), 21),
        "v_recent_slow_syscalls_top10_ms": timed(lambda: ask("SELECT * FROM v_recent_slow_syscalls LIMIT 10"), 5),
        "bounds_ms": timed(lambda: reader.bounds("syscall_events"), 21),
        "count_ms": timed(lambda: reader.count("syscall_events"), 21),
    }
    stock.close()
    reader.close()
    return figures


def delete(path: Path, rows: list[Row]) -> dict[str, float]:
    """The spec's retention statement, through the triggers, by a stock client."""
    stock = sqlite3.connect(path)
    cut = rows[len(rows) // 10][0]
    before = time.perf_counter()
    with stock:
        deleted = stock.execute("DELETE FROM syscall_events WHERE timestamp < ?", (cut,)).rowcount
    took = time.perf_counter() - before
    left = stock.execute("SELECT count(*) FROM syscall_events").fetchone()[0]
    stock.close()
    if left != len(rows) - len(rows) // 10:
        raise SystemExit(f"deleted {deleted}, left {left}")
    return {"view_delete_rows_per_s": (len(rows) // 10) / took}


def one_round(folder: Path, rows: list[Row], batch: int, chance: random.Random) -> dict[str, float]:
    """All figures once, on fresh files."""
    part = rows[: SEGMENT_ROWS - 1]
    between = load(folder / "between.db", part, batch, seal=False)
    small = load(folder / "small.db", part[:100_000], 100, seal=False)
    sustained = load(folder / "sustained.db", rows, batch, seal=True)
    return {
        "between_seals_rows_per_s": between["rows_per_s"],
        "batches_of_100_rows_per_s": small["rows_per_s"],
        "batches_of_100_commit_p50_ms": small["commit_p50_ms"],
        "batches_of_100_commit_p99_ms": small["commit_p99_ms"],
        **{f"sustained_{name}": value for name, value in sustained.items()},
        **offered(folder / "offered.db", rows[:300_000], 50_000),
        **read(folder / "sustained.db", rows, chance),
        **delete(folder / "sustained.db", rows),
    }


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rows", type=int, default=2_000_000)
    parser.add_argument("--batch", type=int, default=10_000)
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--path", type=Path, help="folder for the databases (default: a temporary one)")
    options = parser.parse_args()
    rows = make_rows(options.rows, options.seed)
    rounds = []
    for number in range(options.rounds):
        with tempfile.TemporaryDirectory(dir=options.path) as folder:
            rounds.append(one_round(Path(folder), rows, options.batch, random.Random(options.seed + number)))
    result = {
        name: {"median": round(statistics.median(values), 3), "all": [round(value, 3) for value in values]}
        for name in rounds[0]
        if (values := [figures[name] for figures in rounds])
    }
    print(json.dumps({"rows": options.rows, "batch": options.batch, "seed": options.seed, "figures": result}, indent=1))


if __name__ == "__main__":
    main()
