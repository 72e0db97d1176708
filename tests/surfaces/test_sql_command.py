"""`kernelsight sql`: one statement or several, by row or by column; it reads, and does nothing else."""

from __future__ import annotations

import csv
import io
import json
import time
import tracemalloc
from contextlib import closing
from pathlib import Path

import pytest
from click.testing import CliRunner, Result

from kernelsight.events.syscalls import Syscall
from kernelsight.stores.base import Batch
from kernelsight.stores.sqlite.twins.work import make_twins
from kernelsight.stores.sqlite.writer import SqliteWriter
from kernelsight.surfaces.cli.main import main

SECOND = 10**9
START = time.time_ns() - 600 * SECOND


@pytest.fixture(scope="module")
def path(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Thirty rows: ten that only a file has, ten in both, ten that are hot."""
    path = tmp_path_factory.mktemp("sql") / "rows.db"
    with closing(SqliteWriter(path, segment_rows=10)) as writer:
        for first in range(0, 30, 10):
            rows = [_row(number) for number in range(first, first + 10)]
            assert not writer.write(Batch(events={Syscall: rows}))
            if first == 10:
                make_twins(path)
        layout = writer._layout
        with layout.transaction():
            layout.remove(layout.of("syscall_events")[0], archived=True)
    return path


def _row(number: int) -> tuple[object, ...]:
    values = {"pid": number, "latency_ns": number * 1000, "comm": f"p{number % 3}", "syscall_name": "read"}
    return (START + number * SECOND, *(values.get(name) for name in Syscall.__struct_fields__[1:]))


def sql(path: Path, *arguments: str, text: str | None = None) -> Result:
    return CliRunner().invoke(main, ["sql", "--db-path", str(path), *arguments], input=text)


@pytest.mark.parametrize("way", [[], ["--by-column"]])
def test_a_statement_sees_all_rows_wherever_they_lie(path: Path, way: list[str]) -> None:
    statement = "SELECT comm, count(*) AS n, sum(pid) AS pids FROM syscall_events GROUP BY comm ORDER BY comm"
    done = sql(path, *way, "--format", "json", statement)
    assert done.exit_code == 0, done.output
    assert [json.loads(line) for line in done.stdout.splitlines()] == [
        {"comm": f"p{rest}", "n": 10, "pids": sum(range(rest, 30, 3))} for rest in range(3)
    ]


@pytest.mark.parametrize("statement", ["SELECT count(*) FROM SYSCALL_EVENTS", 'select count(*) from "Syscall_Events"'])
@pytest.mark.parametrize("way", [[], ["--by-column"]])
def test_a_table_is_the_same_in_capital_letters(path: Path, statement: str, way: list[str]) -> None:
    assert sql(path, *way, "--format", "csv", statement).stdout.splitlines()[1:] == ["30"]


@pytest.mark.parametrize(
    ("statement", "rows"),
    [
        ("SELECT count(DISTINCT e) FROM syscall_events AS e", 30),
        ("SELECT count(*) FROM (FROM syscall_events) WHERE columns('pid') < 10", 10),
        ("SELECT count(*) FROM syscall_events a NATURAL JOIN (SELECT timestamp, 5 AS pid FROM syscall_events)", 1),
        ("SELECT count(*) FROM (SUMMARIZE syscall_events)", len(Syscall.__struct_fields__) + 1),
        (f"SELECT count(*) FROM syscall_events WHERE pid < 10{' + 0' * 900}", 10),
        ("SELECT count(DISTINCT syscall_events) FROM syscall_events WHERE latency_ns * 2 >= 40000", 10),
    ],
)
def test_by_column_a_statement_sees_the_columns_that_it_does_not_name(path: Path, statement: str, rows: int) -> None:
    done = sql(path, "--by-column", "--format", "csv", statement)
    assert done.stdout.splitlines()[1:] == [str(rows)], done.output


def test_a_statement_that_makes_long_values_takes_bounded_memory(path: Path) -> None:
    tracemalloc.start()
    many = (
        "WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n LIMIT 400) SELECT hex(zeroblob(500000)) FROM n"
    )
    try:
        assert sql(path, "--limit", "1", "--format", "csv", many).exit_code == 0
        assert tracemalloc.get_traced_memory()[1] < 100 << 20
    finally:
        tracemalloc.stop()
    done = sql(path, "SELECT length(zeroblob(900000000))")
    assert done.exit_code == 1
    assert "too big" in done.stderr


def test_statements_are_read_from_standard_input(path: Path) -> None:
    text = "SELECT max(pid) AS most\nFROM syscall_events;\nSELECT 'a;b' AS text, 1 AS text;\n"
    done = sql(path, "--format", "csv", text=text)
    assert done.exit_code == 0, done.output
    assert list(csv.reader(io.StringIO(done.stdout))) == [["most"], ["29"], ["text", "text:2"], ["a;b", "1"]]


def test_it_says_where_there_are_more_rows(path: Path) -> None:
    done = sql(path, "--limit", "7", "--format", "csv", "SELECT pid FROM syscall_events")
    assert len(done.stdout.splitlines()) == 8
    assert "more than 7 rows" in done.stderr


@pytest.mark.parametrize("way", [[], ["--by-column"]])
@pytest.mark.parametrize(
    "statement",
    [
        "DELETE FROM syscall_events",
        "INSERT INTO syscall_events (timestamp) VALUES (1)",
        "CREATE TABLE t (a)",
        "DROP VIEW syscall_events",
        "ATTACH '/tmp/kernelsight-must-not-be.db' AS other",
        "PRAGMA query_only = 0",
        "COPY (SELECT 1) TO '/tmp/kernelsight-must-not-be.csv'",
        "SELECT 1; DELETE FROM syscall_events",
        "SELECT load_extension('x')",
        "SELECT * FROM read_csv('/etc/passwd')",
        "SELECT 'open",
        "",
    ],
)
def test_what_does_not_read_the_tables_is_refused_in_a_line(path: Path, statement: str, way: list[str]) -> None:
    done = sql(path, *way, statement)
    assert done.exit_code in {1, 2}
    assert len(done.stderr.strip().splitlines()) == 1
    assert sql(path, "--format", "csv", "SELECT count(*) FROM syscall_events").stdout.splitlines()[1] == "30"


@pytest.mark.parametrize("way", [[], ["--by-column"]])
def test_a_statement_that_takes_too_long_is_ended(path: Path, way: list[str]) -> None:
    endless = (
        "WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n WHERE i < 1000000000000) SELECT max(i) FROM n"
    )
    done = sql(path, *way, "--time-limit", "0.3", endless)
    assert done.exit_code == 1
    assert "within 0.3 s" in done.stderr
