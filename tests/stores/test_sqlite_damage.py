"""Damage to one segment stays with that segment: the rest is stored, read, and what is missing is said."""

from __future__ import annotations

import shutil
import sqlite3
from contextlib import closing
from pathlib import Path

import pytest
from contract import read
from damaging import damage
from rows import rows, struct

from kernelsight.errors import StoreError
from kernelsight.events.wire import kinds, tables
from kernelsight.stores.base import Account, Batch, Rejected, Replacement, open_deriver, open_reader, open_writer
from kernelsight.stores.sqlite.adoption import adopt
from kernelsight.stores.sqlite.repair import repair
from kernelsight.stores.sqlite.whereabouts import set_aside
from kernelsight.stores.sqlite.writer import SqliteWriter

TABLE = "syscall_events"


@pytest.fixture
def path(tmp_path):
    return tmp_path / "telemetry.db"


def counts(path):
    with closing(sqlite3.connect(path)) as connection:
        return {table: connection.execute(f"SELECT count(*) FROM {table}").fetchone()[0] for table in tables()}


def every_kind(count, start=0):
    return Batch({kind.struct: rows(kind.table, count, start) for kind in kinds().values()})


@pytest.mark.parametrize("table", [TABLE, "memory_metrics", "collector_reports"])
def test_a_damaged_hot_segment_is_set_aside_and_no_row_of_the_batch_is_lost(path, table):
    with closing(open_writer(str(path))) as writer:
        writer.write(every_kind(300))
    damage(path, f"{table}__1")
    with closing(open_writer(str(path))) as writer:
        assert not writer.write(every_kind(5, start=300))
        [notice] = writer.notices()
        assert f"{table}__1 is damaged" in notice
        assert "300 rows" in notice
        assert not writer.write(every_kind(5, start=305))
        assert not writer.notices()
    assert counts(path) == {name: 10 if name == table else 310 for name in tables()}
    with closing(open_reader(str(path))) as reader:
        assert reader.count(table) == 10
        assert len(read(reader, table)) == 10
        [missing] = reader.damages()
        assert (missing.table, missing.part, missing.rows) == (table, f"{table}__1", 300)
        assert missing.first_ns == rows(table, 1)[0][0]
        assert missing.last_ns == rows(table, 1, 299)[0][0]
        ids = [row["id"] for row in read(reader, table)]
        assert min(ids) > missing.last_ns - 1


def test_a_reader_leaves_out_what_it_cannot_read_and_says_what_is_missing(path):
    with closing(SqliteWriter(path, segment_rows=400)) as writer:
        for start in range(0, 1000, 100):
            writer.write(Batch({struct(TABLE): rows(TABLE, 100, start)}))
        writer.maintain(budget_s=5)
    damage(path, f"{TABLE}__2", leaf=-1)
    with closing(open_reader(str(path))) as reader:
        assert not reader.damages()
        relation, params = reader.relation(TABLE)
        assert len(reader.query(f"SELECT * FROM {relation}", params)) == 600
        assert reader.query(f"SELECT count(pid) AS n FROM {TABLE}") == [{"n": 600}]
        assert len(list(reader.tuples(f"SELECT pid, comm FROM {TABLE}"))) == 600
        assert len(reader.objects(lambda pid: pid, f"SELECT pid FROM {TABLE}")) == 600
        assert reader.query("SELECT count(latency_ms) AS n FROM v_recent_slow_syscalls") is not None
        assert reader.count(TABLE) == 600
        assert [missing.part for missing in reader.damages()] == [f"{TABLE}__2"]
        with closing(open_writer(str(path))) as writer:  # rows that come later are seen by it too
            writer.write(Batch({struct(TABLE): rows(TABLE, 300, 1000)}))
        assert reader.query(f"SELECT count(pid) AS n FROM {TABLE}") == [{"n": 900}]


def indexes_of(path, table):
    with closing(sqlite3.connect(path)) as connection:
        found = connection.execute("SELECT name FROM sqlite_master WHERE type = 'index' AND tbl_name = ?", (table,))
        return [name for (name,) in found]


@pytest.mark.parametrize("leaf", [0, -1])
def test_a_reader_goes_on_without_an_index_that_is_damaged(path, leaf):
    with closing(SqliteWriter(path, segment_rows=400)) as writer:
        for start in range(0, 1000, 100):
            writer.write(Batch({struct(TABLE): rows(TABLE, 100, start)}))
        writer.maintain(budget_s=5)
    index = f"{TABLE}__1_timestamp"
    assert index in indexes_of(path, f"{TABLE}__1")
    damage(path, index, leaf=leaf)
    with closing(open_reader(str(path))) as reader:
        stamps = [line[0] for line in rows(TABLE, 1000, 0)]
        relation, params = reader.relation(TABLE, min(stamps), max(stamps))
        read_by_stamp = f"SELECT timestamp FROM {relation} ORDER BY timestamp"
        assert [row["timestamp"] for row in reader.query(read_by_stamp, params)] == sorted(stamps)
        by_index = f"SELECT count(*) AS n FROM {TABLE} WHERE timestamp BETWEEN ? AND ?"
        assert reader.query(by_index, (min(stamps), max(stamps))) == [{"n": 1000}]
        assert reader.count(TABLE) == 1000
        assert not reader.damages()


def test_upkeep_sets_a_damaged_full_segment_aside_and_goes_on_with_the_others(path):
    with closing(SqliteWriter(path, segment_rows=200)) as writer:
        for start in range(0, 500, 100):
            writer.write(Batch({struct(TABLE): rows(TABLE, 100, start)}))
    damage(path, f"{TABLE}__1", leaf=1)
    with closing(SqliteWriter(path, segment_rows=200)) as writer:
        writer.maintain(budget_s=5)
        [notice] = writer.notices()
        assert f"{TABLE}__1" in notice
        assert not writer.unsealed()
    assert counts(path)[TABLE] == 300


def test_looking_finds_damage_that_nobody_has_met(path):
    with closing(open_writer(str(path))) as writer:
        writer.write(every_kind(300))
    damage(path, "cpu_metrics__1" if "cpu_metrics" in tables() else "memory_metrics__1", leaf=-1)
    with closing(open_reader(str(path))) as reader:
        assert not reader.damages()
        assert len(reader.damages(look_s=20)) == 1


LEFT = 900


@pytest.fixture(scope="module")
def sealed(tmp_path_factory):
    """A database with three segments of system calls, the first two with indexes."""
    path = tmp_path_factory.mktemp("sealed") / "telemetry.db"
    with closing(SqliteWriter(path, segment_rows=400)) as writer:
        for start in range(0, LEFT, 100):
            batch = every_kind(10, start)
            batch.events[struct(TABLE)] = rows(TABLE, 100, start)
            batch.accounts = {kind.name: Account(start // 10 + 10, start // 10 + 10) for kind in kinds().values()}
            batch.accounts["syscall"] = Account(start + 100, start + 100)
            writer.write(batch)
        writer.maintain(budget_s=20)
        assert not writer.unsealed()
    return path


@pytest.mark.parametrize(
    ("name", "page", "lost"),
    [
        (f"{TABLE}__1", 0, 0),  # the root only says where the leaves are
        (f"{TABLE}__2", 2, 1),
        (f"{TABLE}__2_timestamp", 0, 0),
        (f"{TABLE}__3", -1, 1),
    ],
)
def test_repair_recovers_every_row_whose_page_is_whole(sealed, tmp_path, name, page, lost):
    path = tmp_path / "telemetry.db"
    shutil.copy(sealed, path)
    before = contents(path)
    damage(path, name, leaf=page)
    done = repair(path)
    after = contents(path)
    with closing(sqlite3.connect(path)) as connection:
        assert connection.execute("PRAGMA integrity_check").fetchall() == [("ok",)]
        [account] = connection.execute(
            "SELECT lines, stored, rejected, dropped, in_memory FROM collectors WHERE kind = 'syscall'"
        ).fetchall()
    part = f"{TABLE}__{name.removeprefix(TABLE + '__')[0]}"
    [recovered] = done.parts
    missing = LEFT - len(after[TABLE])
    assert (recovered.part, recovered.lost) == (part, missing)
    assert (missing > 0) == bool(lost)
    assert missing < 100
    assert set(after[TABLE]) <= set(before[TABLE])
    assert {table: found for table, found in after.items() if table != TABLE} == {
        table: found for table, found in before.items() if table != TABLE
    }
    assert account == (LEFT, len(after[TABLE]), 0, missing, 0)
    assert bool(done.kept) == bool(lost)
    assert not done.kept or Path(done.kept).stat().st_size
    with closing(open_reader(str(path))) as reader:
        assert not reader.damages()
        assert reader.count(TABLE) == len(after[TABLE])
    with closing(open_writer(str(path))) as writer:
        assert not writer.unsealed()
        writer.write(Batch({struct(TABLE): rows(TABLE, 10, LEFT)}))
        assert not writer.notices()


def contents(path):
    with closing(sqlite3.connect(path)) as connection:
        return {table: connection.execute(f"SELECT * FROM {table} ORDER BY id").fetchall() for table in tables()}


def test_nothing_is_done_to_a_database_that_is_whole(sealed, tmp_path):
    path = tmp_path / "telemetry.db"
    shutil.copy(sealed, path)
    inode = path.stat().st_ino
    assert repair(path).parts == ()
    assert path.stat().st_ino == inode


@pytest.mark.parametrize("page", [0, -1])
def test_refused_lines_that_are_kept_begin_anew_where_they_are_damaged(path, page):
    refusals = [Rejected(number, "syscall", "no JSON", b"x" * 100, 100) for number in range(300)]
    with closing(open_writer(str(path))) as writer:
        writer.write(Batch(rejected=refusals))
    damage(path, "rejected_events", leaf=page)
    with closing(open_writer(str(path))) as writer:
        writer.write(Batch({struct(TABLE): rows(TABLE, 10)}, refusals[:7]))
        assert "rejected_events is damaged" in " ".join(writer.notices())
    with closing(open_reader(str(path))) as reader:
        assert reader.count("rejected_events") == 7
        assert reader.count(TABLE) == 10


def test_a_damaged_rollup_begins_anew_and_upkeep_goes_on(sealed, tmp_path):
    path = tmp_path / "telemetry.db"
    shutil.copy(sealed, path)
    damage(path, f"{TABLE}_1m")
    with closing(SqliteWriter(path, segment_rows=400)) as writer:
        writer.write(Batch({struct(TABLE): rows(TABLE, 400, LEFT)}))
        writer.maintain(budget_s=20)
        assert f"{TABLE}_1m is damaged" in " ".join(writer.notices())
        assert not writer.unsealed()
    with closing(open_reader(str(path))) as reader:
        assert reader.query(f"SELECT sum(rows) AS n FROM {TABLE}_1m")[0]["n"]


def test_readers_and_those_who_derive_follow_the_path_to_a_new_file(path):
    with closing(open_writer(str(path))) as writer:
        writer.write(Batch({struct(TABLE): rows(TABLE, 10)}))
    with closing(open_reader(str(path))) as reader, closing(open_deriver(str(path))) as deriver:
        assert reader.count(TABLE) == 10
        assert deriver.replace("test", None, "far", [])
        path.unlink()
        with pytest.raises(StoreError, match="was removed"):
            deriver.progress("test")
        with closing(open_writer(str(path))) as writer:
            writer.write(Batch({struct(TABLE): rows(TABLE, 3)}))
            assert reader.count(TABLE) == 3
            assert len(reader.query(f"SELECT * FROM {TABLE}")) == 3
            assert deriver.progress("test") is None
            assert deriver.replace("test", None, "near", [])
            assert deriver.progress("test") == "near"


def test_who_derives_sets_a_damaged_segment_aside(path):
    with closing(open_writer(str(path))) as writer:
        writer.write(Batch({struct("signals"): rows("signals", 300)}))
    damage(path, "signals__1")
    with closing(open_deriver(str(path))) as deriver:
        assert deriver.replace("test", None, "far", [Replacement(struct("signals"), rows("signals", 5), 0, 1)])
    with closing(open_reader(str(path))) as reader:
        assert reader.count("signals") == 5
        assert [missing.part for missing in reader.damages()] == ["signals__1"]


def test_rows_of_a_file_that_was_set_aside_as_a_whole_are_stored_again(sealed, tmp_path):
    path = tmp_path / "telemetry.db"
    shutil.copy(sealed, path)
    damage(path, "segments")
    with closing(open_writer(str(path))) as writer:
        writer.write(Batch({struct(TABLE): rows(TABLE, 5, LEFT)}))
    [aside] = set_aside(path)
    done = adopt(path, aside)
    assert sum(part.rows for part in done.parts if part.part.startswith(f"{TABLE}__")) == LEFT
    assert Path(done.kept).exists()
    assert not set_aside(path)
    with closing(open_reader(str(path))) as reader:
        assert reader.count(TABLE) == LEFT + 5
        start, end = rows(TABLE, 1, 100)[0][0], rows(TABLE, 1, 199)[0][0]
        assert len(read(reader, TABLE, start, end)) == 100
        [account] = reader.query("SELECT lines, stored, dropped FROM collectors WHERE kind = 'syscall'")
        assert account == {"lines": LEFT, "stored": LEFT, "dropped": 0}


def test_rows_around_a_damaged_page_of_such_a_file_are_stored_again(sealed, tmp_path):
    path = tmp_path / "telemetry.db"
    shutil.copy(sealed, path)
    damage(path, f"{TABLE}__2", leaf=3)
    damage(path, "segments")
    open_writer(str(path)).close()
    done = adopt(path, *set_aside(path))
    [part] = [part for part in done.parts if part.part == f"{TABLE}__2"]
    assert part.lost is None
    assert 300 < part.rows < 400
