"""Columnar twins: what is in the files, what the books say of them, and what a change or a crash leaves."""

from __future__ import annotations

import json
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path

import apsw
import pyarrow.parquet as pq
import pytest
from rows import kind, rows, struct

from kernelsight.stores.base import Batch
from kernelsight.stores.sqlite.twins import books
from kernelsight.stores.sqlite.twins.work import make_twins
from kernelsight.stores.sqlite.writer import SqliteWriter

TABLE = "syscall_events"


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "twins.db"


@pytest.fixture
def writer(path: Path) -> Iterator[SqliteWriter]:
    with closing(SqliteWriter(path, segment_rows=10)) as writer:
        yield writer


def fill(writer: SqliteWriter, count: int, start: int = 0, table: str = TABLE) -> None:
    for first in range(start, start + count, 10):
        writer.write(Batch(events={struct(table): rows(table, min(10, start + count - first), first)}))
    writer.maintain(budget_s=20)


def files_of(path: Path, table: str = TABLE) -> list[Path]:
    return sorted((path.with_name(f"{path.name}.twins") / table).glob("*"))


def booked(path: Path) -> dict[int, books.Twin]:
    with closing(apsw.Connection(str(path))) as connection:
        return {twin.number: twin for twin in books.load_twins(connection, TABLE)}


def sql(path: Path, statement: str) -> list[tuple[apsw.SQLiteValue, ...]]:
    with closing(apsw.Connection(str(path))) as connection:
        return connection.execute(statement).fetchall()


def in_file(file: Path) -> list[tuple[object, ...]]:
    return [tuple(row.values()) for row in pq.read_table(file, partitioning=None).to_pylist()]


def test_each_full_segment_has_a_file_with_the_same_rows(path: Path, writer: SqliteWriter) -> None:
    fill(writer, 25)
    made = make_twins(path)
    assert (made.twins, made.rows, made.refused) == (2, 20, 0)
    for number, file in enumerate(files_of(path), 1):
        assert in_file(file) == sql(path, f"SELECT * FROM {TABLE}__{number} ORDER BY timestamp, id")
    assert make_twins(path).twins == 0


@pytest.mark.parametrize("table", ["memory_metrics", "process_stats", "load_metrics", "anomalies"])
def test_every_type_of_column_comes_back_as_it_is_stored(path: Path, writer: SqliteWriter, table: str) -> None:
    fill(writer, 10, table=table)
    make_twins(path)
    [file] = files_of(path, table)
    assert in_file(file) == sql(path, f"SELECT * FROM {table}__1 ORDER BY timestamp, id")


def test_a_file_says_by_itself_what_it_is(path: Path, writer: SqliteWriter) -> None:
    fill(writer, 10)
    make_twins(path)
    [file] = files_of(path)
    metadata = pq.read_metadata(file).metadata
    assert metadata[b"kernelsight.table"] == TABLE.encode()
    assert metadata[b"kernelsight.segments"] == b"1"
    assert pq.read_schema(file).names == ["id", *kind(TABLE).column_names]


def test_rows_that_came_late_lie_by_time(path: Path, writer: SqliteWriter) -> None:
    writer.write(Batch(events={struct(TABLE): rows(TABLE, 5, 100)}))
    writer.write(Batch(events={struct(TABLE): rows(TABLE, 5, 0)}))
    make_twins(path)
    [file] = files_of(path)
    stamps = pq.read_table(file, columns=["timestamp"], partitioning=None)["timestamp"].to_pylist()
    assert stamps == sorted(stamps)
    twin = booked(path)[1]
    assert (twin.first_timestamp, twin.last_timestamp) == (stamps[0], stamps[-1])


def test_files_are_for_those_who_may_read_the_database(path: Path, writer: SqliteWriter) -> None:
    path.chmod(0o640)
    fill(writer, 10)
    make_twins(path)
    [file] = files_of(path)
    assert file.stat().st_mode & 0o777 == 0o640
    assert file.parent.stat().st_mode & 0o777 == 0o750


@pytest.mark.parametrize(
    "change",
    [
        f"DELETE FROM {TABLE} WHERE id = (SELECT min(id) FROM {TABLE})",
        f"UPDATE {TABLE} SET pid = 4242 WHERE id = (SELECT min(id) FROM {TABLE})",
        f"UPDATE {TABLE} SET timestamp = timestamp + 1 WHERE id = (SELECT min(id) FROM {TABLE})",
    ],
)
def test_a_change_by_any_client_makes_the_twin_stale_until_it_is_written_again(
    path: Path, writer: SqliteWriter, change: str
) -> None:
    fill(writer, 20)
    make_twins(path)
    assert booked(path).keys() == {1, 2}
    sql(path, change)
    assert booked(path).keys() == {2}
    assert make_twins(path).twins == 1
    file = path.with_name(f"{path.name}.twins") / TABLE / booked(path)[1].file
    assert in_file(file) == sql(path, f"SELECT * FROM {TABLE}__1 ORDER BY timestamp, id")


def test_a_row_that_comes_late_by_sql_leaves_twins_fresh(path: Path, writer: SqliteWriter) -> None:
    fill(writer, 20)
    make_twins(path)
    sql(path, f"INSERT INTO {TABLE} (timestamp, pid) SELECT min(timestamp) + 1, 1 FROM {TABLE}")
    assert booked(path).keys() == {1, 2}


def test_segments_that_retention_removes_take_their_twins_with_them(path: Path, writer: SqliteWriter) -> None:
    fill(writer, 20)
    make_twins(path)
    last = booked(path)[1].last_timestamp
    writer.retain(TABLE, last + 1)
    assert booked(path).keys() == {2}
    [(retired,)] = sql(path, "SELECT count(*) FROM twin_files WHERE retired_ns IS NOT NULL")
    assert retired == 1
    sql(path, f"UPDATE twin_files SET retired_ns = retired_ns - {2 * books.GRACE_NS} WHERE retired_ns IS NOT NULL")
    make_twins(path)
    assert [file.name for file in files_of(path)] == [booked(path)[2].file]
    assert sql(path, "SELECT count(*) FROM twin_files") == [(1,)]


def test_an_archived_segment_stays_in_the_books_of_twins(path: Path, writer: SqliteWriter) -> None:
    fill(writer, 20)
    make_twins(path)
    sql(path, f"DELETE FROM segments WHERE table_name = '{TABLE}' AND number = 1")  # as archiving does
    assert booked(path).keys() == {1, 2}
    make_twins(path)
    assert len(files_of(path)) == 2


def test_a_segment_whose_values_fit_no_column_is_refused_once_and_the_others_have_twins(
    path: Path, writer: SqliteWriter
) -> None:
    fill(writer, 20)
    sql(path, f"UPDATE {TABLE}__1 SET pid = 'not a number' WHERE rowid = (SELECT min(id) FROM {TABLE}__1)")
    made = make_twins(path)
    assert (made.twins, made.refused) == (1, 1)
    assert booked(path).keys() == {2}
    [(number, reason)] = sql(path, "SELECT number, reason FROM twins_refused")
    assert number == 1
    assert "not a number" in str(reason)
    assert make_twins(path).refused == 0


def test_what_a_killed_process_left_is_removed(path: Path, writer: SqliteWriter) -> None:
    fill(writer, 10)
    make_twins(path)
    [file] = files_of(path)
    for name in (".draft.parquet.new", "000009-000009-1.parquet"):
        (file.parent / name).write_bytes(b"half")
    make_twins(path)
    assert files_of(path) == [file]


def test_twins_of_another_database_of_the_same_path_are_kept_aside(path: Path, writer: SqliteWriter) -> None:
    fill(writer, 10)
    make_twins(path)
    writer.close()
    for name in path.parent.glob(f"{path.name}*"):
        if name.is_file():
            name.unlink()
    with closing(SqliteWriter(path, segment_rows=10)) as again:
        fill(again, 10)
        make_twins(path)
    assert len(files_of(path)) == 1
    [aside] = path.parent.glob(f"{path.name}.twins.before-*")
    assert len(list(aside.glob(f"{TABLE}/*.parquet"))) == 1


def test_a_file_that_is_gone_or_cut_is_made_again(path: Path, writer: SqliteWriter) -> None:
    fill(writer, 20)
    make_twins(path)
    first, second = files_of(path)
    first.unlink()
    second.write_bytes(second.read_bytes()[:-9])
    assert make_twins(path).twins == 2
    assert all(in_file(path.with_name(f"{path.name}.twins") / TABLE / twin.file) for twin in booked(path).values())


KILLED = """
import os, signal, sys
from pathlib import Path
from kernelsight.stores.sqlite.twins import work, folder, files, books

moment = sys.argv[2]
def die(*_, **__):
    os.kill(os.getpid(), signal.SIGKILL)
if moment == "writing":
    files._batches = die
elif moment == "before its name":
    folder.os.fsync = die
elif moment == "before the books":
    books.record = die
elif moment == "in the books":
    books.retire_unused = die
work.make_twins(Path(sys.argv[1]))
"""


@pytest.mark.parametrize("moment", ["writing", "before its name", "before the books", "in the books"])
def test_killed_at_any_moment_it_leaves_no_twin_or_a_whole_one(path: Path, writer: SqliteWriter, moment: str) -> None:
    fill(writer, 20)
    ended = subprocess.run([sys.executable, "-c", KILLED, path, moment], check=False, timeout=60)
    assert ended.returncode == -signal.SIGKILL
    assert booked(path) == {}
    make_twins(path)
    assert booked(path).keys() == {1, 2}
    assert len(files_of(path)) == 2


def test_the_writer_has_twins_made_by_a_process_of_its_own(path: Path) -> None:
    with closing(SqliteWriter(path, segment_rows=10, background=True)) as writer:
        fill(writer, 20)
        deadline = time.monotonic() + 60
        while len(booked(path)) < 2 and time.monotonic() < deadline:
            writer.maintain(budget_s=0.1)
            time.sleep(0.05)
    assert booked(path).keys() == {1, 2}


def test_a_writer_loads_no_columnar_library(tmp_path: Path) -> None:
    program = (
        "import json, sys; from kernelsight.stores.base import open_writer;"
        " open_writer(sys.argv[1], background=True).close(); print(json.dumps(list(sys.modules)))"
    )
    done = subprocess.run(
        [sys.executable, "-c", program, tmp_path / "new.db"], check=True, capture_output=True, timeout=60
    )
    assert not {"duckdb", "pyarrow", "numpy"} & set(json.loads(done.stdout))
