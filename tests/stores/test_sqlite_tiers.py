"""The limits of a store: which tier goes when, by age and by the disk's budget, and the space that comes back."""

from __future__ import annotations

from contextlib import closing
from dataclasses import replace
from pathlib import Path

import apsw
import pytest
from rows import SECOND, row, struct

from kernelsight.events.wire import tables
from kernelsight.stores.base import Batch, open_reader, store
from kernelsight.stores.limits import DEFAULTS, EVERY, Limits
from kernelsight.stores.sqlite import tiers as tiers_module
from kernelsight.stores.sqlite.leaving import SETTLED_NS, Choice, Held, Usage, choose
from kernelsight.stores.sqlite.twins.work import make_twins
from kernelsight.stores.sqlite.writer import SqliteWriter

TABLE = "syscall_events"
STRUCT = struct(TABLE)
MINUTE = 60 * SECOND
HOUR = 60 * MINUTE
DAY = 24 * HOUR
NOW = 1_790_000_000 * SECOND
MB = 10**6


def held(number=1, *, table=TABLE, age=HOUR, rows=True, columns=True):
    return Held(table, number, NOW - age, 100, rows, columns, row_bytes=MB, column_bytes=MB // 10)


def chosen(items, limits, usage=None):
    return choose(items, tables(), Limits(limits), usage or Usage(0, 0, 0), NOW)


def test_without_limits_nothing_goes():
    assert chosen([held(age=10_000 * DAY)], {}, Usage(2**62, 2**62, 2**62)) is None


def test_rows_leave_sql_when_their_columns_are_there_and_their_time_is_over():
    limits = {(EVERY, "keep_sql"): HOUR, (EVERY, "keep"): DAY}
    assert chosen([held(age=HOUR)], limits) is None
    assert chosen([held(age=HOUR + 1)], limits) == Choice("rows", "keep_sql", held(age=HOUR + 1))
    assert chosen([held(age=HOUR + 1, columns=False)], limits) is None
    assert chosen([held(age=DAY + 1)], limits).what == "rows and columns"
    assert chosen([held(age=DAY + 1, columns=False)], limits).what == "rows"
    assert chosen([held(age=DAY + 1, rows=False)], limits) == Choice("columns", "keep", held(age=DAY + 1, rows=False))


def test_a_kind_may_have_a_limit_of_its_own_and_what_the_agent_did_has_no_other():
    limits = {(EVERY, "keep"): HOUR, (TABLE, "keep"): DAY}
    assert chosen([held(age=2 * HOUR)], limits) is None
    assert chosen([held(age=2 * HOUR, table="memory_metrics")], limits)
    assert chosen([held(age=2 * HOUR, table="actions")], limits) is None
    assert chosen([held(age=2 * HOUR, table="actions")], limits | {("actions", "keep"): HOUR})
    assert chosen([held(age=2 * HOUR)], limits | {(TABLE, "keep"): None}) is None


def test_over_the_budget_goes_first_what_is_kept_twice_then_rollups_then_the_oldest():
    limits = {(EVERY, "max_disk"): 100 * MB}
    both, columns, plain = (
        held(1, age=3 * HOUR),
        held(2, age=9 * HOUR, rows=False),
        held(3, age=5 * HOUR, columns=False),
    )
    items = [plain, both, columns]
    assert chosen(items, limits, Usage(60 * MB, 20 * MB, 20 * MB)) is None
    assert chosen(items, limits, Usage(60 * MB, 20 * MB, 21 * MB)) == Choice("rows", "max_disk", both)
    assert chosen(items, limits, Usage(40 * MB, 30 * MB, 40 * MB)) == Choice("rollups", "max_disk")
    assert chosen(items, limits, Usage(40 * MB, 50 * MB, 20 * MB)) == Choice("columns", "max_disk", columns)
    assert chosen([plain], limits, Usage(80 * MB, 5 * MB, 20 * MB)) == Choice("rows", "max_disk", plain)
    assert chosen([held(age=SETTLED_NS)], limits, Usage(101 * MB, 0, 0)) is None
    assert chosen([held(table="actions", columns=False)], limits, Usage(101 * MB, 0, 0)) is None


def test_a_stamp_of_the_future_keeps_a_segment_no_longer_than_its_arrival():
    limits = {(EVERY, "keep"): DAY, (EVERY, "max_disk"): MB}
    absurd = Held(TABLE, 1, 2**63 - 1, 100, has_rows=True, has_columns=True, arrived_ns=NOW - DAY - 1)
    assert chosen([absurd, held(2)], limits) == Choice("rows and columns", "keep", absurd)
    younger = replace(absurd, arrived_ns=NOW - 2 * HOUR)
    assert chosen([held(2), younger], limits, Usage(2 * MB, 0, 0)) == Choice("rows", "max_disk", younger)
    assert chosen([replace(absurd, arrived_ns=NOW)], limits, Usage(2 * MB, 0, 0)) is None


# --- on real files ------------------------------------------------------------------------------


@pytest.fixture(autouse=True)
def looks_each_time(monkeypatch):
    monkeypatch.setattr(tiers_module, "_LOOK_S", 0.0)


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "telemetry.db"


def write(writer, count, first=0):
    given = [row(TABLE, number, timestamp=NOW + number * SECOND) for number in range(first, first + count)]
    for start in range(0, count, 100):
        assert not writer.write(Batch({STRUCT: given[start : start + 100]}))


def ids(path: Path) -> list[int]:
    with closing(open_reader(str(path))) as reader:
        return [line["id"] for line in reader.query(f"SELECT id FROM {TABLE} ORDER BY id")]


def numbers(path: Path, books: str) -> list[int]:
    with closing(open_reader(str(path))) as reader:
        return [
            line["number"]
            for line in reader.query(f"SELECT number FROM {books} WHERE table_name = ? ORDER BY number", [TABLE])
        ]


def retained(path: Path, **limits):
    return store(str(path)).retained({(EVERY, name): value for name, value in limits.items()})


def test_rows_become_columns_alone_and_later_nothing(path):
    with closing(SqliteWriter(path, segment_rows=100)) as writer:
        write(writer, 350)
        while writer.unsealed():
            writer.maintain(budget_s=1)
        make_twins(path)
        arrived = tiers_module.time.time_ns()
        writer.set_limits({(EVERY, "keep_sql"): DAY, (EVERY, "keep"): 7 * DAY})
        list(writer.let_go(arrived + DAY - HOUR))
        assert len(ids(path)) == 350
        list(writer.let_go(max(arrived, NOW) + DAY + HOUR))
        assert len(ids(path)) == 50  # the hot segment
        assert numbers(path, "segments") == [4]
        assert numbers(path, "twins") == [1, 2, 3]
        [kept] = [kept for kept in retained(path).kept if kept.rows]
        assert (kept.rows, kept.archived_rows) == (50, 300)
        assert kept.column_bytes > 0
        assert kept.rollup_bytes > 0
        assert kept.first_ns == NOW
        list(writer.let_go(max(arrived, NOW) + 7 * DAY + HOUR))
        assert numbers(path, "twins") == []
        assert len(ids(path)) == 50
        [kept] = [kept for kept in retained(path).kept if kept.rows]
        assert kept.rollup_bytes > 0


def test_old_rows_that_are_stored_today_stay_as_long_as_new_ones(path):
    with closing(SqliteWriter(path, segment_rows=100)) as writer:
        old = [row(TABLE, number, timestamp=NOW - 5_000 * DAY + number * SECOND) for number in range(250)]
        assert not writer.write(Batch({STRUCT: old}))
        writer.set_limits({(EVERY, "keep"): DAY})
        list(writer.let_go(tiers_module.time.time_ns() + DAY - HOUR))
        assert len(ids(path)) == 250
        write(writer, 10)
        list(writer.let_go(tiers_module.time.time_ns() + DAY + HOUR))
        assert len(ids(path)) == 10


@pytest.mark.parametrize("damage", ["gone", "other bytes"])
def test_rows_stay_in_sql_until_their_columns_can_be_read(path, damage):
    with closing(SqliteWriter(path, segment_rows=100)) as writer:
        write(writer, 250)
        while writer.unsealed():
            writer.maintain(budget_s=5)
        make_twins(path)
        spoilt = min((path.with_name(f"{path.name}.twins") / TABLE).glob("*.parquet"))
        content = bytearray(spoilt.read_bytes())
        spoilt.unlink()
        if damage == "other bytes":
            content[len(content) // 2] ^= 255
            spoilt.write_bytes(content)
        writer.set_limits({(EVERY, "keep_sql"): MINUTE, (EVERY, "keep"): None})
        later = tiers_module.time.time_ns() + 2 * HOUR
        list(writer.let_go(later))
        assert len(numbers(path, "segments")) == 2
        make_twins(path)
        list(writer.let_go(later))
        [kept] = [kept for kept in retained(path).kept if kept.table == TABLE]
        assert (kept.rows, kept.archived_rows) == (50, 200)
        with closing(open_reader(str(path))) as reader:
            assert list(reader.statement(f"SELECT count(*) FROM {TABLE}")[1]) == [(250,)]
            assert not reader.damages()


def test_a_row_that_was_changed_after_its_twin_was_made_stays_in_sql(path):
    with closing(SqliteWriter(path, segment_rows=100)) as writer:
        write(writer, 250)
        make_twins(path)
        with closing(apsw.Connection(str(path))) as other:
            other.execute(f"DELETE FROM {TABLE} WHERE id = (SELECT min(id) FROM {TABLE})").fetchall()
        writer.set_limits({(EVERY, "keep_sql"): MINUTE})
        list(writer.let_go(max(tiers_module.time.time_ns(), NOW) + HOUR))
        assert numbers(path, "segments") == [1, 3]
        assert len(ids(path)) == 99 + 50


def test_defaults_are_set_once_and_what_a_person_sets_stays(path):
    with closing(SqliteWriter(path)) as writer:
        writer.set_limits({(TABLE, "keep"): HOUR})
        writer.set_limits({})
    limits = retained(path).limits
    assert limits.values == {(EVERY, name): value for name, value in DEFAULTS.items()} | {(TABLE, "keep"): HOUR}
    assert retained(path, max_disk=None).limits.max_disk is None
    assert retained(path).limits.max_disk == DEFAULTS["max_disk"]


def test_a_file_whose_rows_were_kept_for_good_is_told_of_its_first_limits(path):
    with closing(SqliteWriter(path)) as writer:
        write(writer, 10)
    with closing(SqliteWriter(path)) as writer:
        writer.set_limits({})
        assert "were kept for good so far" in writer.notices()[0]
        writer.set_limits({})
        assert not writer.notices()


def test_the_budget_is_kept_and_the_space_goes_back(path, monkeypatch):
    monkeypatch.setattr("kernelsight.stores.sqlite.leaving.SETTLED_NS", -(10**18))
    monkeypatch.setattr("kernelsight.stores.sqlite.space.LEAST_FREE_PAGES", 0)
    with closing(SqliteWriter(path, segment_rows=2_000)) as writer:
        write(writer, 20_000)
        while writer.unsealed():
            writer.maintain(budget_s=1)
    with closing(SqliteWriter(path, segment_rows=2_000)) as writer:
        before = retained(path).bytes
        make_twins(path)
        budget = before // 2
        leaving = retained(path, max_disk=budget).leaving
        assert sum(item.bytes for item in leaving) > before - budget
        writer.set_limits({(EVERY, "max_disk"): budget})
        list(writer.let_go(NOW + DAY))
        assert [notice for notice in writer.notices() if "has reached its limit" in notice]
        list(writer.let_go(NOW + DAY))
        assert writer.notices() == []
        after = retained(path)
        assert after.bytes <= budget
        assert not after.leaving
        assert after.free_bytes == 0
        assert after.returns_space
        [kept] = [kept for kept in after.kept if kept.table == TABLE]
        assert kept.rows + kept.archived_rows == 20_000
        assert kept.archived_rows > 0
    assert path.stat().st_size < before * 2 // 3


def test_a_budget_that_is_too_small_is_said(path):
    with closing(SqliteWriter(path, segment_rows=2_000)) as writer:
        write(writer, 3_000)
        writer.set_limits({(EVERY, "max_disk"): MB // 100})
        [warning] = writer.maintain(budget_s=5)
        assert "more than its limit of 9.77 KiB" in warning
        assert "--max-disk" in warning
        assert len(ids(path)) == 3_000
        writer.set_limits({(EVERY, "max_disk"): None})
        assert writer.maintain(budget_s=5) == []


def test_a_hot_segment_is_closed_when_nothing_else_can_go(path):
    with closing(SqliteWriter(path, segment_rows=100_000)) as writer:
        write(writer, 3_000)
        writer.set_limits({(EVERY, "max_disk"): MB // 100, (EVERY, "keep"): None})
        list(writer.let_go(max(tiers_module.time.time_ns(), NOW) + DAY))
        assert ids(path) == []
        write(writer, 10, first=4_000)
        assert len(ids(path)) == 10


def test_rollups_go_when_their_time_is_over(path):
    with closing(SqliteWriter(path, segment_rows=100)) as writer:
        write(writer, 250)
        writer.set_limits({(EVERY, "keep_rollups"): 30 * DAY})
        list(writer.let_go(NOW))
        assert integer(writer, f"SELECT count(*) FROM {TABLE}_1h") > 0
        list(writer.let_go(NOW + 31 * DAY))
        assert integer(writer, f"SELECT count(*) FROM {TABLE}_1h") == 0
        assert integer(writer, f"SELECT count(*) FROM {TABLE}_1m") == 0


def integer(writer, sql):
    with closing(open_reader(str(writer._path))) as reader:
        [line] = reader.query(sql)
    return next(iter(line.values()))


def test_a_file_of_an_older_version_gives_space_back_once_it_is_written_anew(path):
    with closing(apsw.Connection(str(path))) as connection:
        connection.execute("PRAGMA page_size = 8192; PRAGMA auto_vacuum = NONE; CREATE TABLE t (x); DROP TABLE t")
    path.chmod(0o600)
    with closing(SqliteWriter(path, segment_rows=1_000)) as writer:
        write(writer, 10_000)
        assert not retained(path).returns_space
        before = retained(path).bytes
        writer.set_limits({(EVERY, "keep"): MINUTE})
        said = list(writer.let_go(max(tiers_module.time.time_ns(), NOW) + DAY))
        assert any("written anew" in sentence for sentence in said)
        assert retained(path).returns_space
        write(writer, 10, first=20_000)
    assert path.stat().st_size < before // 2
    with closing(open_reader(str(path))) as reader:
        assert reader.query("PRAGMA integrity_check") == [{"integrity_check": "ok"}]


def test_limits_reach_a_writer_that_runs(path):
    with closing(SqliteWriter(path, segment_rows=100)) as writer:
        write(writer, 250)
        [sentence] = store(str(path)).apply_limits({(EVERY, "keep"): MINUTE})
        assert "the daemon" in sentence
        assert writer._tiers.limits().values[EVERY, "keep"] == MINUTE
    assert list(store(str(path)).apply_limits({(EVERY, "keep"): 100 * DAY}))[:1] == []


def test_a_clock_that_is_a_year_ahead_when_the_daemon_starts_lets_nothing_go(path, monkeypatch):
    with closing(SqliteWriter(path, segment_rows=100)) as writer:
        now = tiers_module.time.time_ns()
        given = [row(TABLE, number, timestamp=now - (300 - number) * SECOND) for number in range(250)]
        for start in range(0, 250, 50):
            assert not writer.write(Batch({STRUCT: given[start : start + 50]}))
        writer.set_limits({(EVERY, "keep"): DAY})
    monkeypatch.setattr("kernelsight.stores.sqlite.upkeep.time.time_ns", lambda: now + 365 * DAY)
    with closing(SqliteWriter(path, segment_rows=100)) as writer:
        writer.maintain(budget_s=5)
        assert len(ids(path)) == 250
    monkeypatch.setattr("kernelsight.stores.sqlite.upkeep.time.time_ns", lambda: now + HOUR)
    with closing(SqliteWriter(path, segment_rows=100)) as writer:
        writer.maintain(budget_s=5)
        assert len(ids(path)) == 250


@pytest.mark.parametrize("back", [HOUR, DAY])
def test_a_clock_that_is_set_back_makes_rows_late_and_loses_none(path, back):
    with closing(SqliteWriter(path, segment_rows=100)) as writer:
        write(writer, 250)
        late = [row(TABLE, number, timestamp=NOW - back + number * SECOND) for number in range(250)]
        for start in range(0, 250, 50):
            assert not writer.write(Batch({STRUCT: late[start : start + 50]}))
        while writer.unsealed():
            writer.maintain(budget_s=5)
        make_twins(path)
        writer.set_limits({(EVERY, "keep_sql"): MINUTE, (EVERY, "keep"): None})
        list(writer.let_go(max(tiers_module.time.time_ns(), NOW) + 2 * HOUR))
        [kept] = [kept for kept in retained(path).kept if kept.table == TABLE]
        assert kept.rows + kept.archived_rows == 500
        assert kept.archived_rows >= 400
        assert (kept.first_ns, kept.last_ns) == (NOW - back, NOW + 249 * SECOND)
        with closing(open_reader(str(path))) as reader:
            assert reader.query("PRAGMA integrity_check") == [{"integrity_check": "ok"}]
