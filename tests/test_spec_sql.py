"""The documented SQL, word for word, through the stock sqlite3 module, on a database of many segments.

``fixtures/documented_sql`` holds the statements as the specification prints them; where the
specification itself is at hand, they are compared with it first.
"""

from __future__ import annotations

import random
import re
import sqlite3
import subprocess
import sys
import time
from collections import defaultdict
from contextlib import closing
from datetime import UTC, datetime
from pathlib import Path

import pytest

from kernelsight.compat.db_manager import DatabaseManager
from kernelsight.events.memory import Memory
from kernelsight.events.syscalls import Syscall
from kernelsight.stores.base import Batch, Row, open_reader
from kernelsight.stores.sqlite import initialise
from kernelsight.stores.sqlite.twins.books import load_twins
from kernelsight.stores.sqlite.twins.work import make_twins
from kernelsight.stores.sqlite.writer import SqliteWriter

HERE = Path(__file__).parent
COPIES = HERE / "fixtures" / "documented_sql"
SPECIFICATION = HERE.parent.parent / "shared" / "spec"

SECOND = 10**9
MINUTE = 60 * SECOND
DAY = 24 * 3600 * SECOND
NAMES = ("read", "futex", "fsync")
COMMS = ("postgres", "nginx's", 'say "hi"')


def statements(name: str) -> list[str]:
    """The statements of a file, one by one, with their comments."""
    found, waiting = [], ""
    for line in (COPIES / f"{name}.sql").read_text().splitlines(keepends=True):
        waiting += line
        if sqlite3.complete_statement(waiting):
            found.append(waiting)
            waiting = ""
    assert not waiting.strip()
    return found


def test_the_copies_are_what_the_specification_says():
    files = sorted(SPECIFICATION.glob("*.txt"))
    if not files:
        pytest.skip(f"the specification is not at {SPECIFICATION}")
    blocks = re.findall(r"```sql\n(.*?)```", files[0].read_text(), re.DOTALL)
    assert blocks == [(COPIES / f"{name}.sql").read_text() for name in ("queries", "retention")]


class Filled:
    """What is in the database, as plain Python values."""

    def __init__(self, path: Path) -> None:
        chance = random.Random(7)
        now = time.time_ns()
        # Away from the hour and the days at which the statements cut, by minutes.
        ages = [40 * DAY, 31 * DAY, 20 * DAY, 8 * DAY, 6 * DAY, 2 * DAY, 90 * MINUTE, 50 * MINUTE, 20 * MINUTE]
        self.syscalls = sorted(
            syscall(now - age + number * SECOND // 5, chance) for age in ages for number in range(300)
        )
        self.memory = [
            memory(now - age + number * SECOND, chance) for age in sorted(ages, reverse=True) for number in range(60)
        ]
        self.path = path
        writer = SqliteWriter(path, segment_rows=400)
        for start in range(0, len(self.syscalls), 100):
            writer.write(Batch({Syscall: self.syscalls[start : start + 100]}))
        for start in range(0, len(self.memory), 50):
            writer.write(Batch({Memory: self.memory[start : start + 50]}))
        while writer.unsealed():
            writer.maintain(budget_s=1)
        writer.close()

    def younger_than(self, days: int) -> list[Row]:
        """The system calls that a retention of some days leaves."""
        cut = time.time_ns() - days * DAY
        return [row for row in self.syscalls if int(str(row[0])) >= cut]


def syscall(timestamp: int, chance: random.Random) -> Row:
    values = {
        "timestamp": timestamp,
        "pid": chance.randrange(1, 50),
        "syscall_name": chance.choice(NAMES),
        "latency_ns": chance.randrange(10_000_000, 60_000_000),
        "comm": chance.choice(COMMS),
    }
    return tuple(values.get(name) for name in Syscall.__struct_fields__)


def memory(timestamp: int, chance: random.Random) -> Row:
    total = 8_000_000
    values = {
        "timestamp": timestamp,
        "mem_total_kb": total,
        "mem_available_kb": chance.randrange(total // 5),
        "swap_total_kb": 4_000_000,
        "swap_free_kb": chance.randrange(2_500_000, 4_000_000),
    }
    return tuple(values.get(name) for name in Memory.__struct_fields__)


@pytest.fixture
def filled(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Filled:
    monkeypatch.chdir(tmp_path)  # the documented ATTACH names a file beside the person
    return Filled(tmp_path / "kernelsight.db")


@pytest.fixture
def stock(filled: Filled):
    with closing(sqlite3.connect(filled.path, isolation_level=None)) as connection:
        yield connection


def column(row: Row, name: str, struct: type = Syscall) -> float:
    value = row[struct.__struct_fields__.index(name)]
    assert isinstance(value, int)
    return value


def test_there_are_several_sealed_segments_and_a_hot_one(filled: Filled, stock: sqlite3.Connection):
    segments = stock.execute("SELECT full, rows FROM segments WHERE table_name = 'syscall_events'").fetchall()
    assert len(segments) >= 6
    assert segments[-1][0] == 0
    assert segments[-1][1] > 0
    assert sum(rows for _, rows in segments) == len(filled.syscalls)


def test_memory_pressure_events(filled: Filled, stock: sqlite3.Connection):
    expected = []
    for row in reversed(filled.memory):
        total, available = column(row, "mem_total_kb", Memory), column(row, "mem_available_kb", Memory)
        used_pct = (total - available) * 100.0 / total
        swap_used = column(row, "swap_total_kb", Memory) - column(row, "swap_free_kb", Memory)
        if used_pct > 90 or swap_used > 1_000_000:
            shown = datetime.fromtimestamp(column(row, "timestamp", Memory) // SECOND, UTC)
            expected.append((f"{shown:%Y-%m-%d %H:%M:%S}", pytest.approx(used_pct), swap_used))
    assert len(expected) > 100
    assert stock.execute(statements("queries")[0]).fetchall() == expected


def test_slow_system_calls_beside_memory_pressure(filled: Filled, stock: sqlite3.Connection):
    groups = defaultdict(list)
    for call in filled.syscalls:
        for sample in filled.memory:
            apart = abs(column(call, "timestamp") - column(sample, "timestamp", Memory))
            if apart < SECOND and column(call, "timestamp") > time.time_ns() - 3600 * SECOND:
                key = (call[Syscall.__struct_fields__.index("comm")], call[6])
                groups[key].append((column(call, "latency_ns") / 1e6, column(sample, "mem_available_kb", Memory)))
    expected = [
        (
            *key,
            pytest.approx(sum(a for a, _ in pairs) / len(pairs)),
            pytest.approx(sum(b for _, b in pairs) / len(pairs)),
        )
        for key, pairs in groups.items()
    ]
    found = stock.execute(statements("queries")[1]).fetchall()
    assert len(found) == len(NAMES) * len(COMMS)
    assert sorted(found) == sorted(expected, key=lambda line: line[:2])
    assert [line[2] for line in found] == sorted((line[2] for line in found), reverse=True)


def rows_of(connection: sqlite3.Connection, table: str) -> list[tuple]:
    names = ", ".join(Syscall.__struct_fields__)
    return connection.execute(f"SELECT {names} FROM {table} ORDER BY timestamp, latency_ns, pid, comm").fetchall()


def in_order(rows: list[Row]) -> list[Row]:
    return sorted(rows, key=lambda row: (row[0], row[7], row[1], row[11]))


def assert_books_are_exact(filled: Filled, left: list[Row]) -> None:
    reader = open_reader(str(filled.path))
    assert reader.count("syscall_events") == len(left)
    assert reader.bounds("syscall_events") == (left[0][0], left[-1][0])
    assert reader.query("PRAGMA integrity_check") == [{"integrity_check": "ok"}]
    reader.close()


def test_delete_after_thirty_days(filled: Filled, stock: sqlite3.Connection):
    left = filled.younger_than(30)
    assert 0 < len(left) < len(filled.syscalls)
    stock.execute(statements("retention")[0])
    assert rows_of(stock, "syscall_events") == in_order(left)
    stock.close()
    assert_books_are_exact(filled, left)


@pytest.mark.parametrize("archive", ["a store of ours", "a plain table"])
def test_archive_after_seven_days(filled: Filled, stock: sqlite3.Connection, archive: str):
    if archive == "a store of ours":
        initialise("archive.db")
    else:
        stock.execute("ATTACH 'archive.db' AS archive")
        stock.execute("CREATE TABLE archive.syscall_events AS SELECT * FROM syscall_events WHERE 0")
        stock.execute("DETACH archive")
    ids = dict(stock.execute("SELECT id, timestamp FROM syscall_events").fetchall())
    _, attach, insert, delete = statements("retention")
    for statement in (attach, insert, delete):
        stock.execute(statement)
    left = filled.younger_than(7)
    moved = filled.syscalls[: -len(left)]
    assert len(moved) > 400
    assert rows_of(stock, "archive.syscall_events") == in_order(moved)
    assert rows_of(stock, "syscall_events") == in_order(left)
    kept = dict(stock.execute("SELECT id, timestamp FROM archive.syscall_events").fetchall())
    assert kept.items() <= ids.items()
    stock.close()  # two copies of SQLite in one process undo each other's locks
    assert_books_are_exact(filled, left)
    if archive == "a store of ours":
        reader = open_reader("archive.db")
        assert reader.count("syscall_events") == len(moved)
        assert reader.bounds("syscall_events") == (moved[0][0], moved[-1][0])
        reader.close()


@pytest.mark.parametrize("way", ["statement by statement", "as one script"])
def test_a_fresh_archive_says_in_its_error_how_to_make_its_tables(filled: Filled, way: str):
    with closing(DatabaseManager(filled.path)) as manager:
        _, attach, insert, delete = statements("retention")
        manager.conn.execute(attach)
        run = manager.conn.executescript if way == "as one script" else manager.conn.execute
        statement = f"{insert};{delete}" if way == "as one script" else insert
        with pytest.raises(sqlite3.OperationalError, match=r"no such table: archive\.syscall_events") as refused:
            run(statement)
        assert len(manager.query("SELECT id FROM syscall_events")) == len(filled.syscalls)
    command = re.search(r"kernelsight (ingest --init-only --db-path \S+archive\.db)`", str(refused.value))
    assert command
    subprocess.run([sys.executable, "-m", "kernelsight", *command[1].split()], check=True, capture_output=True)
    with closing(DatabaseManager(filled.path)) as manager:
        manager.conn.execute(attach)
        manager.conn.execute(insert)
        assert manager.query("SELECT count(*) FROM archive.syscall_events")[0][0] > 400


def test_the_retention_block_as_one_script(filled: Filled):
    initialise("archive.db")
    with closing(sqlite3.connect(filled.path)) as connection:
        connection.executescript((COPIES / "retention.sql").read_text())
        assert rows_of(connection, "syscall_events") == in_order(filled.younger_than(7))
        archived = connection.execute("SELECT count(*) FROM archive.syscall_events").fetchone()[0]
    assert archived == len(filled.younger_than(30)) - len(filled.younger_than(7))


def test_recent_slow_system_calls_view(filled: Filled):
    with closing(sqlite3.connect(filled.path)) as connection:
        connection.row_factory = sqlite3.Row
        found = connection.execute("SELECT * FROM v_recent_slow_syscalls").fetchall()
    recent = [row for row in filled.syscalls if column(row, "timestamp") > time.time_ns() - 3600 * SECOND]
    assert len(recent) == 600
    assert [line["latency_ms"] for line in found] == sorted((row[7] / 1e6 for row in recent), reverse=True)
    worst = max(recent, key=lambda row: row[7])
    assert (found[0]["timestamp"], found[0]["pid"], found[0]["syscall_name"], found[0]["comm"]) == (
        worst[0],
        worst[1],
        worst[6],
        worst[11],
    )
    assert found[0]["time"] == f"{datetime.fromtimestamp(worst[0] // SECOND, UTC):%Y-%m-%d %H:%M:%S}"


def test_memory_pressure_view(filled: Filled):
    with closing(sqlite3.connect(filled.path)) as connection:
        found = connection.execute("SELECT timestamp, used_pct, swap_used_pct FROM v_memory_pressure").fetchall()
    expected = [
        (
            row[0],
            pytest.approx(100 - column(row, "mem_available_kb", Memory) / 80_000),
            pytest.approx(100 - column(row, "swap_free_kb", Memory) / 40_000),
        )
        for row in filled.memory
    ]
    assert sorted(found) == expected


def test_io_performance_view(filled: Filled):
    columns = "timestamp, device, read_count, write_count, read_bytes, write_bytes, read_p95_us, write_p99_us"
    with closing(sqlite3.connect(filled.path)) as connection:
        connection.execute(
            f"INSERT INTO io_latency_stats ({columns}) VALUES (?, 'sda', 10, 20, 5000000, 250000, 1.5, 9.0)",
            (filled.syscalls[-1][0],),
        )
        found = connection.execute(
            "SELECT device, read_iops, write_iops, read_mb_s, write_mb_s, read_p95_us, write_p99_us"
            " FROM v_io_performance"
        ).fetchall()
    assert found == [("sda", 10, 20, 5.0, 0.25, 1.5, 9.0)]


def test_the_documented_selects_give_the_same_where_segments_are_gone(filled: Filled):
    asked = [
        *statements("queries"),
        "SELECT * FROM v_recent_slow_syscalls ORDER BY timestamp, latency_ns, pid, comm",
        "SELECT * FROM v_memory_pressure ORDER BY timestamp",
        "SELECT * FROM v_io_performance",
        "SELECT count(*), min(timestamp), max(id), sum(latency_ns) FROM syscall_events WHERE pid > 0",
        "SELECT * FROM syscall_events ORDER BY id",
    ]
    with closing(sqlite3.connect(filled.path)) as connection:
        before = [connection.execute(statement).fetchall() for statement in asked]
    make_twins(filled.path)
    with closing(SqliteWriter(filled.path, segment_rows=400)) as writer:
        layout = writer._layout
        for table in ("syscall_events", "memory_metrics"):
            fresh = {twin.number for twin in load_twins(layout.connection, table)}
            with layout.transaction():
                for segment in [segment for segment in layout.of(table) if segment.number in fresh]:
                    layout.remove(segment, archived=True)
    with closing(open_reader(str(filled.path))) as reader:
        assert reader.volume("syscall_events").only_by_column > 2000
        for statement, expected in zip(asked, before, strict=True):
            found = [tuple(row) for row in reader.statement(statement)[1]]
            assert found == [tuple(map(nearly, row)) for row in expected]


def nearly(value: object) -> object:
    """A mean that is added up in another order differs in its last digit."""
    return pytest.approx(value, rel=1e-13) if isinstance(value, float) else value
