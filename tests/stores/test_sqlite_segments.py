"""Segments: what is read does not depend on how rows are spread over them, nor on who wrote them."""

from __future__ import annotations

import sqlite3
import time
from contextlib import closing

import apsw
import pytest
from contract import read, without_id
from rows import BASE, SECOND, as_dict, row, rows, struct

from kernelsight.errors import StoreError
from kernelsight.stores.base import Batch, open_reader
from kernelsight.stores.sqlite import layout
from kernelsight.stores.sqlite.segments import DISORDER_NS
from kernelsight.stores.sqlite.writer import SqliteWriter

TABLE = "syscall_events"
STRUCT = struct(TABLE)


@pytest.fixture
def path(tmp_path):
    return tmp_path / "telemetry.db"


@pytest.fixture
def writer(path):
    writer = SqliteWriter(path, segment_rows=10)
    yield writer
    writer.close()


@pytest.fixture
def reader(path, writer):
    reader = open_reader(str(path))
    yield reader
    reader.close()


@pytest.fixture
def other(path, writer):
    """Another client. Two copies of SQLite in one process undo each other's locks: apsw's, as the writer has it."""
    with closing(apsw.Connection(str(path))) as connection:
        yield connection


def write(writer, given, size=10):
    for start in range(0, len(given), size):
        assert not writer.write(Batch({STRUCT: given[start : start + size]}))


def seal(writer):
    while writer.unsealed():
        writer.maintain(budget_s=1)


def segments(reader):
    return reader.query("SELECT * FROM segments WHERE table_name = ? ORDER BY number", (TABLE,))


def test_full_segments_get_every_declared_index(writer, reader):
    write(writer, rows(TABLE, 35))
    assert writer.unsealed()
    seal(writer)
    wanted = 1 + 3  # the timestamp and those that the kind declares
    found = reader.query(
        "SELECT tbl_name, count(*) AS n FROM sqlite_master WHERE type = 'index' AND tbl_name GLOB ? GROUP BY 1",
        (f"{TABLE}__*",),
    )
    assert {line["tbl_name"]: line["n"] for line in found} == {f"{TABLE}__{n}": wanted for n in (1, 2, 3)}


def test_the_worst_are_found_through_the_indexes_of_all_segments(writer, path):
    write(writer, rows(TABLE, 35))
    seal(writer)
    writer.close()
    with closing(sqlite3.connect(path)) as stock:
        sql = f"SELECT pid, latency_ns FROM {TABLE} ORDER BY latency_ns DESC LIMIT 3"
        plan = " ".join(line[3] for line in stock.execute(f"EXPLAIN QUERY PLAN {sql}"))
        assert plan.count("USING INDEX") == 3
        assert [pid for pid, _ in stock.execute(sql)] == [34 * 7, 33 * 7, 32 * 7]


def test_a_relation_leaves_out_segments_outside_the_range(writer, reader):
    write(writer, rows(TABLE, 95))
    relation, _ = reader.relation(TABLE, BASE + 25 * SECOND, BASE + 31 * SECOND)
    assert [f'__{number}"' in relation for number in range(1, 11)] == [number in (3, 4) for number in range(1, 11)]
    assert len(read(reader, TABLE, BASE + 25 * SECOND, BASE + 31 * SECOND)) == 7


def test_a_range_in_the_hot_segment_is_sought_by_id(writer, reader):
    write(writer, rows(TABLE, 8), size=3)
    relation, params = reader.relation(TABLE, BASE + 4 * SECOND, None, ["pid"])
    [plan] = reader.query(f"EXPLAIN QUERY PLAN SELECT * FROM {relation}", params)
    assert "INTEGER PRIMARY KEY (rowid>?)" in str(plan["detail"])


def test_stamps_far_in_the_future_do_not_draw_the_ids_after_them(writer, reader):
    now = time.time_ns()
    far = now + 400 * 24 * 3600 * SECOND
    stamps = [now, far, now + 1000, far + 5, now + 2000]
    for stamp in stamps:
        write(writer, [row(TABLE, 1, timestamp=stamp)])
    assert all(line["id"] < now + 60 * SECOND for line in read(reader, TABLE))
    assert [line["timestamp"] for line in read(reader, TABLE, far)] == [far, far + 5]
    assert len(read(reader, TABLE, now, now + SECOND)) == 3
    write(writer, [row(TABLE, n, timestamp=now + 3000 + n) for n in range(10)], size=5)
    *_, hot = segments(reader)
    assert hot["number"] == 2
    write(writer, [row(TABLE, 1, timestamp=now + 30 * SECOND // 4)])
    *_, hot = segments(reader)
    assert hot["late_ns"] <= DISORDER_NS
    assert hot["early_ns"] <= DISORDER_NS


def test_a_hot_segment_in_disorder_gets_its_timestamp_index_early(writer, reader):
    write(writer, [row(TABLE, 5000), row(TABLE, 1), row(TABLE, 4000)], size=1)
    seal(writer)
    relation, params = reader.relation(TABLE, BASE, BASE + 10 * SECOND)
    [plan] = reader.query(f"EXPLAIN QUERY PLAN SELECT * FROM {relation}", params)
    assert f"USING INDEX {TABLE}__1_timestamp" in str(plan["detail"])
    assert [line["timestamp"] for line in reader.query(f"SELECT * FROM {relation}", params)] == [BASE + SECOND]


def test_another_client_may_insert_delete_and_update(writer, reader, other):
    write(writer, rows(TABLE, 25))
    other.execute(f"INSERT INTO {TABLE} (timestamp, pid) VALUES (?, 99)", (BASE + 100 * SECOND,))
    write(writer, rows(TABLE, 3, start=101))
    other.execute(f"DELETE FROM {TABLE} WHERE timestamp <= ?", (BASE + SECOND,))
    other.execute(f"UPDATE {TABLE} SET comm = 'new', timestamp = timestamp - 1 WHERE pid = 99")
    expected = [as_dict(TABLE, line) for line in (*rows(TABLE, 23, start=2), *rows(TABLE, 3, start=101))]
    found = without_id(read(reader, TABLE))
    assert [line for line in found if line["pid"] != 99] == expected
    [own] = [line for line in found if line["pid"] == 99]
    assert (own["timestamp"], own["comm"]) == (BASE + 100 * SECOND - 1, "new")
    assert reader.count(TABLE) == 27
    assert reader.bounds(TABLE) == (BASE + 2 * SECOND, BASE + 103 * SECOND)
    seal(writer)
    writer.maintain(budget_s=1)
    assert not any(line["stale"] for line in segments(reader) if line["full"])
    assert reader.bounds(TABLE) == (BASE + 2 * SECOND, BASE + 103 * SECOND)


def test_a_changed_row_of_a_full_segment_stays_in_it_and_a_refused_one_as_it_was(writer, reader, other):
    write(writer, rows(TABLE, 25))
    other.execute(f"UPDATE {TABLE} SET pid = '500' WHERE pid IN (0, 14 * 7)")
    with pytest.raises(apsw.ConstraintError, match=rf"{TABLE}\.pid must be an integer, or NULL"):
        other.execute(f"UPDATE {TABLE} SET pid = 'none' WHERE pid = 24 * 7 OR pid = 3 * 7")
    expected = [row(TABLE, n, pid=500 if n in (0, 14) else n * 7) for n in range(25)]
    assert without_id(read(reader, TABLE)) == [as_dict(TABLE, line) for line in expected]
    for number, count in ((1, 10), (2, 10), (3, 5)):
        assert reader.query(f"SELECT count(*) AS n FROM {TABLE}__{number}") == [{"n": count}]
        assert segments(reader)[number - 1]["rows"] == count
    assert not any(line["stale"] for line in segments(reader))


@pytest.mark.parametrize("written", [0, 5, 15, 20])
def test_segments_of_an_older_version_have_their_columns_in_another_order(path, written):
    """A column that is new comes last in the segments that there are; where it is declared does not matter."""
    SqliteWriter(path, segment_rows=10).close()
    with closing(apsw.Connection(str(path))) as older:
        older.execute(f"DROP VIEW v_recent_slow_syscalls; DROP VIEW {TABLE}; DROP VIEW {TABLE}__checked")
        older.execute(f"ALTER TABLE {TABLE}__1 DROP COLUMN comm")
        older.execute(f"ALTER TABLE {TABLE}__1 ADD COLUMN comm TEXT")
        columns = ", ".join(struct(TABLE).__struct_fields__)
        stored = rows(TABLE, written)
        marks = ", ".join("?" * len(stored[0])) if stored else ""
        for line in stored:
            older.execute(f"INSERT INTO {TABLE}__1 (id, {columns}) VALUES (?, {marks})", (line[0], *line))
        older.execute(
            "UPDATE segments SET rows = ?1, last_id = ?2, first_timestamp = ?3, last_timestamp = ?2"
            " WHERE table_name = ?4 AND ?1 > 0",
            (written, stored[-1][0] if stored else None, stored[0][0] if stored else None, TABLE),
        )
    with closing(SqliteWriter(path, segment_rows=10)) as writer:
        write(writer, rows(TABLE, 15, start=written))
        with closing(apsw.Connection(str(path))) as other:
            other.execute(f"UPDATE {TABLE} SET latency_ns = latency_ns + 1")
            with pytest.raises(apsw.ConstraintError, match=rf"{TABLE}\.comm must be text"):
                other.execute(f"UPDATE {TABLE} SET comm = x'00'")
            other.execute(f"INSERT INTO {TABLE} (timestamp, pid) VALUES (?, 99)", (str(BASE + 500 * SECOND),))
            other.execute(f"DELETE FROM {TABLE} WHERE pid IN (0, 99)")
        with closing(open_reader(str(path))) as reader:
            expected = [row(TABLE, n, latency_ns=n * 7 + 1) for n in range(1, written + 15)]
            assert without_id(read(reader, TABLE)) == [as_dict(TABLE, line) for line in expected]
            assert reader.count(TABLE) == written + 14


def test_the_books_follow_a_stamp_that_is_written_as_text(writer, reader, other):
    write(writer, rows(TABLE, 3))
    other.execute(f"INSERT INTO {TABLE} (timestamp, pid) VALUES (?, 99)", (str(BASE - SECOND),))
    assert reader.bounds(TABLE) == (BASE - SECOND, BASE + 2 * SECOND)
    assert [line["pid"] for line in read(reader, TABLE, None, BASE - 1)] == [99]


def test_another_client_cannot_insert_without_a_timestamp(writer, other):
    with pytest.raises(apsw.ConstraintError, match="timestamp"):
        other.execute(f"INSERT INTO {TABLE} (pid) VALUES (1)")


def test_ids_are_not_used_again(writer, reader, other):
    write(writer, rows(TABLE, 5))
    before = {line["id"] for line in read(reader, TABLE)}
    other.execute(f"DELETE FROM {TABLE}")
    write(writer, rows(TABLE, 5))
    after = {line["id"] for line in read(reader, TABLE)}
    assert len(after) == 5
    assert not before & after


def test_more_segments_than_a_view_can_hold_do_not_come_about(path, monkeypatch):
    monkeypatch.setattr(layout, "SEGMENTS_PER_SIZE", 4)
    monkeypatch.setattr(layout, "MOST_SEGMENTS", 10)
    writer = SqliteWriter(path, segment_rows=2)
    given = rows(TABLE, 300)
    write(writer, given, size=2)
    writer.close()
    reader = open_reader(str(path))
    books = segments(reader)
    assert len(books) == 10
    assert [line["rows"] for line in books][:8] == [2, 2, 2, 4, 4, 4, 4, 8]
    assert without_id(read(reader, TABLE)) == [as_dict(TABLE, line) for line in given]
    assert reader.query(f"SELECT count(*) AS n FROM {TABLE}") == [{"n": 300}]
    reader.close()


def test_a_view_holds_as_many_segments_as_there_may_be(path):
    writer = SqliteWriter(path, segment_rows=1)
    layout_ = writer._layout
    with layout_.transaction():
        for _ in range(layout.MOST_SEGMENTS - 1):
            layout_.roll(TABLE)
    write(writer, rows(TABLE, 2), size=1)
    writer.close()
    with closing(sqlite3.connect(path)) as stock:
        assert stock.execute(f"SELECT count(*) FROM {TABLE} WHERE pid >= 0").fetchone() == (2,)
        assert stock.execute(f"DELETE FROM {TABLE} WHERE pid = 7").fetchall() == []
        assert stock.execute(f"SELECT count(*) FROM {TABLE}").fetchone() == (1,)


def test_readers_do_not_block_the_writer(writer, reader, other):
    write(writer, rows(TABLE, 15))
    other.execute("BEGIN")
    assert other.execute(f"SELECT count(*) FROM {TABLE}").fetchone() == (15,)
    write(writer, rows(TABLE, 30, start=15))
    seal(writer)
    assert other.execute(f"SELECT count(*) FROM {TABLE}").fetchone() == (15,)
    assert reader.count(TABLE) == 45
    other.execute("COMMIT")
    assert other.execute(f"SELECT count(*) FROM {TABLE}").fetchone() == (45,)


def test_an_old_hot_segment_is_closed_by_its_age(writer, reader, monkeypatch):
    write(writer, rows(TABLE, 3))
    writer.maintain(budget_s=1)
    assert [line["full"] for line in segments(reader)] == [0]
    monkeypatch.setattr(layout, "SEGMENT_NS", 1)
    writer.maintain(budget_s=1)
    assert [line["full"] for line in segments(reader)] == [1, 0]
    assert writer.unsealed() == 0


def test_a_batch_is_not_said_to_have_failed_because_sealing_did(writer, reader, other, monkeypatch):
    monkeypatch.setattr("kernelsight.stores.sqlite.upkeep.BACKLOG", 0)
    other.execute(f"CREATE TABLE {TABLE}__1_timestamp (x)")  # takes the name of the index
    write(writer, rows(TABLE, 15))
    assert reader.count(TABLE) == 15
    with pytest.raises(StoreError, match="already a table"):
        writer.maintain(budget_s=1)
    other.execute(f"DROP TABLE {TABLE}__1_timestamp")
    seal(writer)
    assert writer.unsealed() == 0
    assert len(read(reader, TABLE)) == 15


def test_unfinished_sealing_goes_on_after_a_restart(path, writer):
    write(writer, rows(TABLE, 15))
    missing = writer.unsealed()
    writer.close()
    again = SqliteWriter(path, segment_rows=10)
    assert again.unsealed() == missing > 0
    seal(again)
    again.close()
