"""Every question by row and by column: the same answers, whatever the rows hold and wherever they lie."""

from __future__ import annotations

import random
import subprocess
import sys
from collections.abc import Callable, Iterator
from contextlib import closing

import pytest
from filled import SECOND, START

from kernelsight.events.block import Block
from kernelsight.events.declare import Event
from kernelsight.events.memory import Memory
from kernelsight.events.network import Network
from kernelsight.events.process import Process
from kernelsight.events.scheduler import Load
from kernelsight.events.syscalls import Syscall
from kernelsight.query import aggregate, asof_join, compare, correlate, percentiles, ranks, rows, series, top
from kernelsight.query.planner import only, planning
from kernelsight.stores.base import Batch, Reader, open_reader
from kernelsight.stores.sqlite.twins.books import load_twins
from kernelsight.stores.sqlite.twins.work import make_twins
from kernelsight.stores.sqlite.writer import SqliteWriter

LENGTH = 1200 * SECOND
END = START + LENGTH
TABLES = ("syscall_events", "memory_metrics", "process_stats", "block_stats", "load_metrics", "network_interface_stats")
NAMES = ("postgres", "Postgres", "nginx", "", "é\u0301", "a'b\"c", "%_", None)
CHANGE = """
import sqlite3, sys
end = int(sys.argv[2])
with sqlite3.connect(sys.argv[1]) as db:
    db.execute("DELETE FROM syscall_events WHERE id % 97 = 0 AND timestamp < ?", (end,))
    db.execute("UPDATE syscall_events SET latency_ns = pid WHERE id % 101 = 0 AND timestamp < ?", (end,))
    db.execute("UPDATE process_stats SET rss_kb = 77 WHERE pid = 3 AND timestamp < ?", (end,))
    db.execute("INSERT INTO syscall_events (timestamp, pid, latency_ns) VALUES (?, 1, 5)", (end,))
db.close()
"""


def _row(struct: type[Event], at: int, **values: object) -> tuple[object, ...]:
    return (at, *(values.get(name) for name in struct.__struct_fields__[1:]))


def _events(rng: random.Random) -> Iterator[tuple[type[Event], tuple[object, ...]]]:
    jiffies, sectors = [rng.randrange(10**6) for _ in range(5)], 2**63 - 10**9
    for second in range(1200):
        at = START + second * SECOND
        for _ in range(3):
            late = -rng.randrange(5 * SECOND) if rng.random() < 0.1 else rng.randrange(SECOND)
            # few values, so that there are ties; a few beyond all reason
            latency = rng.choice([None, 0, 10**7, rng.randrange(10**6, 10**10), 2**63 - 1, -(2**63) if late < 0 else 7])
            yield Syscall, _row(
                Syscall, at + late, pid=rng.randrange(4), tid=rng.randrange(4), latency_ns=latency,
                comm=rng.choice(NAMES), is_error=rng.choice([0, 1, None]), arg0=rng.choice([-1, 5, -(2**63)]),
                ret_value=rng.choice([0, -11]), syscall_name=rng.choice(["read", "futex"]),
            )  # fmt: skip
        yield Memory, _row(Memory, at, mem_total_kb=1000, mem_available_kb=rng.choice([None, rng.randrange(1000)]))
        yield Load, _row(Load, at, load_1min=rng.choice([None, rng.random() * 40, 0.1]))
        sectors = 0 if rng.random() < 0.01 else sectors + rng.randrange(10_000)
        yield Block, _row(Block, at, device_name="sda", read_sectors=sectors, in_flight=rng.randrange(3))
        yield Block, _row(Block, at, device_name="sdb", read_sectors=second * 8, in_flight=0)
        yield Network, _row(Network, at, interface_name="eth0", rx_bytes=rng.choice([second * 1500, None]))
        for pid in range(5):
            jiffies[pid] += rng.randrange(900)
            yield (
                Process,
                _row(Process, at, pid=pid, comm=f"p{pid % 2}", start_ticks=pid, utime_ms=jiffies[pid], rss_kb=pid * 3),
            )


def _batches(rng: random.Random) -> Iterator[Batch]:
    batch = Batch()
    for number, (struct, row) in enumerate(_events(rng)):
        batch.events.setdefault(struct, []).append(row)  # type: ignore[arg-type]
        if number % 500 == 499:
            yield batch
            batch = Batch()
    yield batch


@pytest.fixture(scope="module")
def reader(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Reader]:
    """Segments with twins, some of them stale by plain SQL, one without a twin, and hot rows."""
    path = tmp_path_factory.mktemp("both") / "ways [*] ?.db"
    with closing(SqliteWriter(path, segment_rows=400)) as writer:
        for batch in _batches(random.Random(7)):
            assert not writer.write(batch)
        writer.maintain(budget_s=60)
        make_twins(path)
        # another process: two copies of SQLite in one do not keep each other's locks
        subprocess.run([sys.executable, "-c", CHANGE, path, str(START + 300 * SECOND)], check=True, timeout=60)
        _archive(writer)
        with closing(open_reader(str(path))) as reader:
            for table in TABLES:
                volume = reader.volume(table)
                assert 0 < volume.by_column < volume.rows
                assert table == "process_stats" or volume.only_by_column
            yield reader


def _archive(writer: SqliteWriter) -> None:
    """Let the rows of some segments go that have a twin, in the middle of those that stay."""
    layout = writer._layout
    for table in TABLES:
        fresh = {twin.number for twin in load_twins(layout.connection, table)}
        with layout.transaction():
            gone = [segment for segment in layout.of(table) if segment.number in fresh][: 3 if table[0] != "p" else 0]
            for segment in gone:
                layout.remove(segment, archived=True)


MIDDLE = START + LENGTH // 3
RANGES = {
    "everything": (START - 10 * SECOND, END + 10 * SECOND),
    "the middle": (MIDDLE + 1, MIDDLE + 333 * SECOND),
    "the end": (END - 50 * SECOND, END),
    "nothing": (END + 100 * SECOND, END + 200 * SECOND),
}

Question = Callable[[Reader, int, int], object]
QUESTIONS: dict[str, Question] = {
    "percentiles": lambda r, a, b: percentiles(
        r, "syscall", "latency_ns", a, b, ps=(0, 0.1, 50, 95, 99.9, 99.9999, 100)
    ),
    "percentiles between": lambda r, a, b: percentiles(r, "syscall", "latency_ns", a, b, method="linear"),
    "percentiles by name": lambda r, a, b: percentiles(r, "syscall", "latency_ns", a, b, by=["comm", "is_error"]),
    "percentiles by an unsigned": lambda r, a, b: percentiles(r, "syscall", "ret_value", a, b, by="arg0"),
    "percentiles of rates": lambda r, a, b: percentiles(r, "block", "read_sectors", a, b, by=["device_name"]),
    "percentiles of reals": lambda r, a, b: percentiles(r, "load", "load_1min", a, b),
    "percentiles where": lambda r, a, b: percentiles(
        r, "syscall", "latency_ns", a, b, where=["comm like post%", "is_error=true"]
    ),
    "like a sign": lambda r, a, b: percentiles(r, "syscall", "pid", a, b, where=["comm like P_STGRES"], by="comm"),
    "unsigned order": lambda r, a, b: percentiles(r, "syscall", "pid", a, b, where=["arg0>7"], by="arg0"),
    "null or not": lambda r, a, b: percentiles(r, "syscall", "pid", a, b, where={"comm": None}),
    "one of": lambda r, a, b: percentiles(r, "syscall", "pid", a, b, where={"comm": ["nginx", ""]}, by="comm"),
    "aggregate": lambda r, a, b: aggregate(
        r, "memory", "mem_available_kb", a, b, "7s", functions=("count", "min", "max", "avg", "p50", "p99")
    ),
    "aggregate of rates": lambda r, a, b: aggregate(
        r, "process", "utime_ms", a, b, "1m", functions=("count", "sum", "min", "max", "p95"), by=["comm"]
    ),
    "aggregate of rows": lambda r, a, b: aggregate(
        r, "syscall", None, a, b, "1m", functions=("count", "rate"), by="syscall_name"
    ),
    "aggregate raw": lambda r, a, b: aggregate(
        r, "block", "read_sectors", a, b, "1m", functions=("max", "p50"), raw=True
    ),
    "top by sum": lambda r, a, b: top(
        r,
        "syscall",
        "latency_ns",
        a,
        b,
        by=("pid", "comm"),
        n=7,
        function="max",
        where=["latency_ns<1000s", "latency_ns>=0"],
    ),
    "top of counters": lambda r, a, b: top(r, "process", "utime_ms", a, b, by=("pid", "comm"), n=3),
    "top rows": lambda r, a, b: top(r, "syscall", "ret_value", a, b, n=40),
    "series": lambda r, a, b: series(r, "block", "read_sectors", a, b),
    "series of levels": lambda r, a, b: series(r, "load", "load_1min", a, b),
    "series in points": lambda r, a, b: series(r, "process", "rss_kb", a, b, points=20),
    "series of rates in points": lambda r, a, b: series(r, "network", "rx_bytes", a, b, points=20),
    "rows": lambda r, a, b: rows(r, "syscall", a, b, where=["latency_ns>=10ms"], limit=300),
    "rows by a text": lambda r, a, b: rows(r, "syscall", a, b, order_by="comm", limit=100),
    "last rows by a number": lambda r, a, b: rows(r, "syscall", a, b, order_by="is_error", descending=True, limit=100),
    "as-of join": lambda r, a, b: asof_join(
        r, "syscall.latency_ns", "memory.mem_available_kb", a, b, tolerance="700ms", by=["comm", "arg0"]
    ),
    "as-of join before": lambda r, a, b: asof_join(
        r, "syscall.latency_ns", "load.load_1min", a, b, tolerance="2s", direction="before"
    ),
    "as-of join after": lambda r, a, b: asof_join(
        r, "memory.mem_available_kb", "syscall.latency_ns", a, b, tolerance="2s", direction="after", limit=50
    ),
    "as-of join of rates": lambda r, a, b: asof_join(
        r, "block.read_sectors", "network.rx_bytes", a, b, where_a={"device_name": "sda"}
    ),
}
ROUNDED: dict[str, Question] = {
    "sums of rates": lambda r, a, b: aggregate(r, "process", "utime_ms", a, b, "1m", functions=("rate",), by=["comm"]),
    "means of reals": lambda r, a, b: aggregate(r, "load", "load_1min", a, b, "1m", functions=("avg",)),
    "means of rates": lambda r, a, b: aggregate(r, "process", "utime_ms", a, b, "1m", functions=("avg",), by=["pid"]),
    "top with means": lambda r, a, b: top(r, "block", "read_sectors", a, b, by="device_name"),
    "correlate": lambda r, a, b: correlate(
        r, "syscall.ret_value", "memory.mem_available_kb", a, b, by=["comm"], tolerance="1s"
    ),
    "correlate rates": lambda r, a, b: correlate(r, "process.utime_ms", "load.load_1min", a, b, by=["pid"]),
    "compare": lambda r, a, b: compare(r, (a, (a + b) // 2), ((a + b) // 2, b), tables=TABLES, limit=100),
}
"""Sums of reals: the order of adding shows in the last digits."""


def both(reader: Reader, question: Question, span: tuple[int, int]) -> tuple[object, object]:
    with only("by row"), planning() as row_plans:
        by_row = question(reader, *span)
    with only("by column"), planning() as column_plans:
        by_column = question(reader, *span)
    assert {plan.way for plan in row_plans} <= {"by row"}
    assert {(plan.way, plan.because) for plan in column_plans} <= {("by column", "nothing else was asked for")}
    assert len(row_plans) == len(column_plans)
    return by_row, by_column


@pytest.mark.parametrize("span", RANGES.values(), ids=RANGES)
@pytest.mark.parametrize("question", QUESTIONS.values(), ids=QUESTIONS)
def test_both_ways_give_the_same_answer(reader: Reader, question: Question, span: tuple[int, int]) -> None:
    by_row, by_column = both(reader, question, span)
    assert by_row == by_column
    assert repr(by_row) == repr(by_column)


@pytest.mark.parametrize("span", RANGES.values(), ids=RANGES)
@pytest.mark.parametrize("question", ROUNDED.values(), ids=ROUNDED)
def test_both_ways_give_the_same_sums_of_reals_but_for_their_last_digits(
    reader: Reader, question: Question, span: tuple[int, int]
) -> None:
    by_row, by_column = both(reader, question, span)
    assert by_row == approximately(by_column)


@pytest.mark.parametrize("span", RANGES.values(), ids=RANGES)
@pytest.mark.parametrize("column", ["syscall.latency_ns", "syscall.pid", "load.load_1min", "block.read_sectors"])
def test_percentiles_of_more_values_than_are_collected_are_exact(
    reader: Reader, column: str, span: tuple[int, int], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(ranks, "MOST_COLLECTED", 100)
    table, metric = column.split(".")
    ps = (0, 1, 25, 50, 95, 99.9, 100)
    by_row, by_column = both(reader, lambda r, a, b: percentiles(r, table, metric, a, b, ps=ps), span)
    assert repr(by_row) == repr(by_column)


def approximately(value: object) -> object:
    if isinstance(value, float):
        return pytest.approx(value, rel=1e-12, abs=1e-15)
    if isinstance(value, dict):
        return {name: approximately(part) for name, part in value.items()}
    return [approximately(part) for part in value] if isinstance(value, list) else value
