"""Rows whose segments are gone, and whose twins alone have them: a reader shows them as it did before."""

from __future__ import annotations

import stat
import tempfile
import time
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path

import pytest
from rows import BASE, SECOND, rows, struct

from kernelsight.errors import ScanError
from kernelsight.stores.base import Batch, open_reader
from kernelsight.stores.sqlite.reader import SqliteReader
from kernelsight.stores.sqlite.twins.books import load_twins
from kernelsight.stores.sqlite.twins.work import make_twins
from kernelsight.stores.sqlite.writer import SqliteWriter
from kernelsight.time_limit import OverTimeError, Work

TABLE = "syscall_events"
QUESTIONS = (
    "SELECT * FROM {relation} AS r ORDER BY id",
    "SELECT id, pid FROM {relation} AS r WHERE pid >= 21 AND pid < 200 ORDER BY pid DESC",
    "SELECT count(*), sum(latency_ns), min(comm), avg(latency_ns) FROM {relation} AS r",
    "SELECT comm, count(*) FROM {relation} AS r WHERE is_error = 1 GROUP BY comm ORDER BY comm",
    "SELECT * FROM {relation} AS r WHERE comm = (SELECT max(comm) FROM {relation} AS s) ORDER BY id",
    "SELECT timestamp FROM {relation} AS r WHERE pid = '21' OR arg0 = -5 OR comm LIKE 'TEXT 7%' ORDER BY id",
    "SELECT max(id) FROM {relation} AS r WHERE timestamp <> 5 AND cgroup_id IS NOT NULL AND pid IN (7, 14, 21.0)",
    "SELECT id FROM {relation} AS r WHERE id = (SELECT min(id) FROM {relation} AS s)",
)
RANGES = ((None, None), (BASE + 3 * SECOND, BASE + 17 * SECOND), (BASE + 12 * SECOND, None), (BASE - 9, BASE - 1))


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "archive.db"


@pytest.fixture
def writer(path: Path) -> Iterator[SqliteWriter]:
    with closing(SqliteWriter(path, segment_rows=10)) as writer:
        for first in range(0, 45, 5):
            writer.write(Batch(events={struct(TABLE): rows(TABLE, 5, first)}))
        writer.maintain(budget_s=20)
        make_twins(path)
        yield writer


def archive(writer: SqliteWriter, *numbers: int) -> None:
    layout = writer._layout
    with layout.transaction():
        for segment in [segment for segment in layout.of(TABLE) if segment.number in numbers]:
            layout.remove(segment, archived=True)


def answers(reader: SqliteReader) -> list[object]:
    said: list[object] = [reader.count(TABLE), reader.bounds(TABLE)]
    for span in RANGES:
        relation, params = reader.relation(TABLE, *span)
        said += [
            reader.query(question.format(relation=relation), params * question.count("{relation}"))
            for question in QUESTIONS
        ]
    return said


@pytest.fixture
def reader(path: Path, writer: SqliteWriter) -> Iterator[SqliteReader]:
    with closing(open_reader(str(path))) as reader:
        assert isinstance(reader, SqliteReader)
        yield reader


@pytest.mark.parametrize("gone", [(1,), (2, 3), (1, 2, 3, 4)])
def test_archived_rows_are_read_as_before(reader: SqliteReader, writer: SqliteWriter, gone: tuple[int, ...]) -> None:
    before = answers(reader)
    archive(writer, *gone)
    assert answers(reader) == before
    assert reader.damages() == []
    assert reader.volume(TABLE).only_by_column == 10 * len(gone)


def test_rows_that_leave_sql_while_a_question_is_asked_count_once(reader: SqliteReader, writer: SqliteWriter) -> None:
    archive(writer, 1)
    relation, params = reader.relation(TABLE)
    archive(writer, 2)
    assert reader.query(f"SELECT count(*) AS n FROM {relation} AS r", params) == [{"n": 45}]
    relation, params = reader.relation(TABLE)
    assert reader.query(f"SELECT count(*) AS n FROM {relation} AS r", params) == [{"n": 45}]


def test_an_archived_file_that_is_gone_is_named_and_the_rest_is_answered(
    path: Path, reader: SqliteReader, writer: SqliteWriter
) -> None:
    archive(writer, 1, 2)
    first = load_twins(writer._layout.connection, TABLE)[0]
    (path.with_name(f"{path.name}.twins") / TABLE / first.file).unlink()
    with closing(open_reader(str(path))) as later:
        assert later.count(TABLE) == 35
        relation, params = later.relation(TABLE)
        assert later.query(f"SELECT count(*) AS rows FROM {relation} AS r", params) == [{"rows": 35}]
        [damage] = later.damages()
    assert (damage.table, damage.part, damage.rows) == (TABLE, first.file, 10)
    assert "No such file" in str(damage)


def test_an_archived_file_with_other_bytes_is_named_once_it_is_met_and_the_rest_is_answered(
    path: Path, reader: SqliteReader, writer: SqliteWriter
) -> None:
    archive(writer, 1, 2)
    first = load_twins(writer._layout.connection, TABLE)[0]
    file = path.with_name(f"{path.name}.twins") / TABLE / first.file
    content = bytearray(file.read_bytes())
    content[4 : len(content) // 2] = bytes(len(content) // 2 - 4)
    file.write_bytes(content)
    relation, params = reader.relation(TABLE)
    found = reader.query(f"SELECT count(*) AS rows, sum(pid) AS pids, max(comm) FROM {relation} AS r", params)
    assert found[0]["rows"] == 35
    [damage] = reader.damages()
    assert (damage.part, damage.rows) == (first.file, 10)
    assert "checksum" in damage.reason
    assert reader.count(TABLE) == 35


def test_a_damaged_segment_is_read_from_its_twin(reader: SqliteReader, writer: SqliteWriter) -> None:
    before = answers(reader)
    layout = writer._layout
    with layout.transaction():
        layout._set_aside(layout.of(TABLE)[1], "damaged for a test")
    assert answers(reader) == before
    assert reader.damages() == []


def test_a_scan_of_files_ends_with_the_time_for_it(reader: SqliteReader) -> None:
    columns = reader.by_column()
    assert columns is not None
    began = time.monotonic()
    with closing(columns), Work(0.2).current(), pytest.raises(OverTimeError):
        columns.query("SELECT max(a.range % 7 + b.range % 11) FROM range(20000000) AS a, range(20000000) AS b")
    assert time.monotonic() - began < 60


@pytest.mark.parametrize(
    "statement",
    [
        "SELECT * FROM read_csv('/etc/passwd')",
        "SELECT * FROM read_text('/proc/self/environ')",
        "SELECT * FROM glob('/etc/*')",
        "COPY (SELECT 1) TO '/tmp/kernelsight-must-not-be.csv'",
        "ATTACH '/tmp/kernelsight-must-not-be.db'",
        "INSTALL httpfs",
        "LOAD httpfs",
        "SET enable_external_access = true",
        "SELECT * FROM writer",
    ],
)
def test_what_reads_files_reaches_nothing_else(reader: SqliteReader, statement: str) -> None:
    columns = reader.by_column()
    assert columns is not None
    with closing(columns), pytest.raises(ScanError):
        columns.query(statement)


def test_rows_that_do_not_fit_into_memory_are_spilled_where_no_other_user_reads(reader: SqliteReader) -> None:
    engine = reader._shelf.engine()
    [(spill,)] = engine.connection.execute("SELECT current_setting('temp_directory')").fetchall()
    assert stat.S_IMODE(Path(spill).stat().st_mode) == 0o700
    reader.close()
    assert not Path(spill).exists()


def test_archived_rows_are_read_where_no_temporary_folder_can_be_written(
    reader: SqliteReader, writer: SqliteWriter, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(tempfile, "tempdir", "/proc/kernelsight-cannot-be")
    archive(writer, 1)
    relation, params = reader.relation(TABLE)
    assert reader.query(f"SELECT count(*) AS n FROM {relation} AS r", params) == [{"n": 45}]
