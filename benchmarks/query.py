"""Latency of the query API on a large store; prints JSON.

    .venv/bin/python benchmarks/query.py [--rows 2000000] [--rounds 5] [--keep PATH] [--way both]

The store holds that many events over 24 hours: half of them slow system calls, a quarter page faults,
a fifth per-process samples, the rest per-second samples of memory, load and one disk. Each question is
asked `rounds` times after one that warms the cache; the median and the slowest are printed, in ms: as the planner
chooses, and, with `--way both`, by row alone. `peak_mb` is the most memory that asking took, as the planner chooses.
"""

from __future__ import annotations

import argparse
import gc
import json
import os
import random
import resource
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from pathlib import Path

from kernelsight.events.block import Block
from kernelsight.events.declare import Event
from kernelsight.events.memory import Memory, PageFault
from kernelsight.events.process import Process
from kernelsight.events.scheduler import Load
from kernelsight.events.syscalls import Syscall
from kernelsight.query import aggregate, around, asof_join, compare, correlate, percentiles, rows, series, top
from kernelsight.query.planner import only, planning
from kernelsight.stores.base import Batch, Reader, Row, open_reader, open_writer

START = 1_790_000_000_000_000_000
SECOND = 1_000_000_000
HOUR = 3600 * SECOND
DAY = 24 * HOUR
NAMES = ("postgres", "nginx", "python3", "java", "kworker/0:1", "sshd", "node", "redis-server")


def _spread(rng: random.Random, count: int) -> list[int]:
    return sorted(START + rng.randrange(DAY) for _ in range(count))


def syscalls(rng: random.Random, count: int) -> Iterator[Row]:
    for at in _spread(rng, count):
        pid = rng.randrange(300)
        nr = rng.randrange(20)
        values = {
            "pid": pid, "tid": pid, "cpu": pid % 4, "uid": 0, "syscall_nr": nr, "syscall_name": f"call{nr}",
            "latency_ns": int(10_000_000 * rng.paretovariate(1.5)), "ret_value": 0, "is_error": 0, "arg0": 3,
            "comm": NAMES[pid % 8],
        }  # fmt: skip
        yield _row(Syscall, at, values)


def faults(rng: random.Random, count: int) -> Iterator[Row]:
    for at in _spread(rng, count):
        pid = rng.randrange(300)
        values = {"pid": pid, "tid": pid, "latency_ns": int(1_000 * rng.paretovariate(1.2)), "comm": NAMES[pid % 8]}
        yield _row(PageFault, at, values | {"fault_type": "minor", "access_type": "read", "user_mode": 1})


def processes(rng: random.Random, count: int) -> Iterator[Row]:
    used = [0] * 60
    for at in range(START, START + DAY, max(1, DAY * len(used) // count)):
        for pid in range(len(used)):
            used[pid] += rng.randrange(20)
            values = {"pid": pid, "comm": NAMES[pid % 8], "start_ticks": 1000 + pid, "rss_kb": 1000 * pid}
            yield _row(Process, at, values | {"utime_ms": used[pid]})


def samples(rng: random.Random, count: int) -> Iterator[tuple[type[Event], Row]]:
    sectors = 0
    for at in range(START, START + DAY, max(1, DAY * 3 // count)):
        sectors += rng.randrange(10_000)
        memory = {"mem_total_kb": 16_000_000, "mem_available_kb": rng.randrange(4_000_000, 12_000_000)}
        yield Memory, _row(Memory, at, memory)
        yield Load, _row(Load, at, {"load_1min": rng.random() * 4})
        yield Block, _row(Block, at, {"device_name": "sda", "read_sectors": sectors, "in_flight": rng.randrange(4)})


def _row(struct: type[Event], at: int, values: dict[str, object]) -> Row:
    return (at, *(values.get(name) for name in struct.__struct_fields__[1:]))  # type: ignore[return-value]


def fill(path: Path, total: int) -> None:
    rng = random.Random(1)
    writer = open_writer(str(path))
    plan: list[tuple[type[Event], Iterator[Row]]] = [
        (Syscall, syscalls(rng, total // 2)),
        (PageFault, faults(rng, total // 4)),
        (Process, processes(rng, total // 5)),
    ]
    for struct, made in plan:
        _write(writer, struct, list(made))
    by_struct: dict[type[Event], list[Row]] = {}
    for struct, row in samples(rng, total // 20):
        by_struct.setdefault(struct, []).append(row)
    for struct, made_rows in by_struct.items():
        _write(writer, struct, made_rows)
    writer.maintain(budget_s=120.0)
    writer.close()
    subprocess.run([sys.executable, "-m", "kernelsight.stores.sqlite.twins.worker", path, str(os.getpid())], check=True)


def _write(writer: object, struct: type[Event], made: list[Row]) -> None:
    for first in range(0, len(made), 20_000):
        writer.write(Batch(events={struct: made[first : first + 20_000]}))  # type: ignore[attr-defined]
        writer.maintain(budget_s=5.0)  # type: ignore[attr-defined]


def questions(reader: Reader) -> dict[str, Callable[[], object]]:
    middle, end = START + DAY // 2, START + DAY
    return {
        "top 10 rows of all by latency": lambda: top(reader, "syscall", "latency_ns", START, end),
        "top 10 rows of one hour by latency": lambda: top(reader, "syscall", "latency_ns", middle, middle + HOUR),
        "top 10 processes of all by latency": lambda: top(
            reader, "syscall", "latency_ns", START, end, by=("pid", "comm")
        ),
        "range: 1 minute": lambda: rows(reader, "syscall", middle, middle + 60 * SECOND),
        "range: one pid of all, 100 rows": lambda: rows(reader, "syscall", START, end, where={"pid": 7}, limit=100),
        "percentiles of one hour": lambda: percentiles(reader, "syscall", "latency_ns", middle, middle + HOUR),
        "percentiles of all": lambda: percentiles(reader, "syscall", "latency_ns", START, end),
        "aggregate: one day by hours": lambda: aggregate(reader, "syscall", "latency_ns", START, end, "1h"),
        "series: one day of rates in 500 points": lambda: series(
            reader, "block", "read_sectors", START, end, points=500
        ),
        "series: one hour of rates": lambda: series(reader, "block", "read_sectors", middle, middle + HOUR),
        "correlate: all calls with memory": lambda: correlate(
            reader, "syscall.latency_ns", "memory.mem_available_kb", START, end, by=("comm",), tolerance="3s"
        ),
        "as-of join: one hour": lambda: asof_join(
            reader, "syscall.latency_ns", "memory.mem_available_kb", middle, middle + HOUR, tolerance="3s"
        ),
        "around: 10 s of all tables": lambda: around(reader, middle, "5s"),
        "compare: two times 5 minutes": lambda: compare(
            reader, (middle - 300 * SECOND, middle), (middle, middle + 300 * SECOND)
        ),
    }


def measure(ask: Callable[[], object], rounds: int) -> dict[str, float]:
    ask()
    taken = []
    for _ in range(rounds):
        gc.collect()
        began = time.perf_counter_ns()
        ask()
        taken.append((time.perf_counter_ns() - began) / 1e6)
    return {"median_ms": round(statistics.median(taken), 2), "max_ms": round(max(taken), 2)}


def chosen(ask: Callable[[], object], rounds: int) -> dict[str, object]:
    with planning() as plans:
        ask()
    ways = {plan.way for plan in plans}
    return {**measure(ask, rounds), "way": " and ".join(sorted(ways)) or "by row"}


def main() -> None:
    options = argparse.ArgumentParser(description=__doc__)
    options.add_argument("--rows", type=int, default=2_000_000)
    options.add_argument("--rounds", type=int, default=5)
    options.add_argument("--way", choices=["chosen", "both"], default="chosen", help="also ask by row alone")
    options.add_argument("--keep", type=Path, help="use this database, made when it does not exist, and keep it")
    given = options.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        path = given.keep or Path(folder) / "query.db"
        if not path.exists():
            fill(path, given.rows)
        open_writer(str(path)).close()  # a store that was kept may be of an older version
        reader = open_reader(str(path))
        tables = (
            "syscall_events",
            "page_fault_events",
            "process_stats",
            "memory_metrics",
            "load_metrics",
            "block_stats",
        )
        result = {
            "rows": {table: reader.count(table) for table in tables},
            "megabytes": round(path.stat().st_size / 1e6, 1),
            "megabytes_by_column": round(
                sum(file.stat().st_size for file in path.with_name(f"{path.name}.twins").rglob("*.parquet")) / 1e6, 1
            ),
            "questions": {name: chosen(ask, given.rounds) for name, ask in questions(reader).items()},
            "peak_mb": round(resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024),
        }
        if given.way == "both":
            with only("by row"):
                result["questions_by_row"] = {name: measure(ask, 1) for name, ask in questions(reader).items()}
        reader.close()
    print(json.dumps(result, indent=2))


if __name__ == "__main__":
    main()
