"""What is damaged in one tier is made again from the other, and what is in neither is counted as lost."""

from __future__ import annotations

import time
from contextlib import closing
from pathlib import Path

import pytest
from damaging import damage
from rows import rows, struct

from kernelsight.stores.base import Account, Batch, open_reader, store
from kernelsight.stores.limits import EVERY
from kernelsight.stores.sqlite.twins import files as twin_files
from kernelsight.stores.sqlite.twins.work import make_twins
from kernelsight.stores.sqlite.writer import SqliteWriter

TABLE = "syscall_events"
STRUCT = struct(TABLE)


@pytest.fixture
def path(tmp_path: Path, monkeypatch) -> Path:
    """Two full segments of 200 rows with twins, and a hot one."""
    monkeypatch.setattr(twin_files, "ROW_GROUP", 50)
    monkeypatch.setattr(twin_files, "_BATCH", 50)
    path = tmp_path / "k.db"
    with closing(SqliteWriter(path, segment_rows=200)) as writer:
        for start in range(0, 500, 100):
            account = Account(start + 100, start + 100)
            assert not writer.write(Batch({STRUCT: rows(TABLE, 100, start)}, [], {"syscall": account}))
        while writer.unsealed():
            writer.maintain(budget_s=5)
    make_twins(path)
    return path


def contents(path: Path) -> list[dict]:
    with closing(open_reader(str(path))) as reader:
        assert reader.query("PRAGMA integrity_check") == [{"integrity_check": "ok"}]
        return reader.query(f"SELECT * FROM {TABLE} ORDER BY id")


def account(path: Path) -> tuple[int, int]:
    with closing(open_reader(str(path))) as reader:
        [line] = reader.query("SELECT lines, stored, dropped FROM collectors WHERE kind = 'syscall'")
    assert line["lines"] == line["stored"] + line["dropped"]
    return line["stored"], line["dropped"]


def archive(path: Path) -> None:
    """Let the SQL rows of what has twins go."""
    with closing(SqliteWriter(path, segment_rows=200)) as writer:
        writer.set_limits({(EVERY, "keep_sql"): 1})
        list(writer.let_go(time.time_ns() + 3600 * 10**9))


def by_column(path: Path) -> int:
    [kept] = [kept for kept in store(str(path)).retained({}).kept if kept.table == TABLE]
    return kept.archived_rows


def twins_of(path: Path) -> list[Path]:
    return sorted(path.with_name("k.db.twins").glob(f"{TABLE}/*.parquet"))


def test_rows_of_a_damaged_segment_come_back_whole_from_its_columns(path):
    before = contents(path)
    damage(path, f"{TABLE}__1", leaf=2)
    [repaired] = store(str(path)).repair()
    assert [(part.part, part.rows, part.lost) for part in repaired.parts] == [(f"{TABLE}__1", 200, 0)]
    assert repaired.is_complete
    assert contents(path) == before
    assert account(path) == (500, 0)


@pytest.mark.parametrize("harm", ["changed", "cut", "gone"])
def test_columns_that_are_damaged_are_made_again_from_the_rows(path, harm):
    first, second = twins_of(path)
    spoil(first, harm)
    repaired = list(store(str(path)).repair())[-1]
    assert repaired.is_complete
    assert [(part.rows, part.lost) for part in repaired.parts] == [(200, 0)]
    again = twins_of(path)
    assert len(again) == 2
    assert second in again
    assert first not in again
    archive(path)
    assert by_column(path) == 400
    assert len(list(store(str(path)).repair())) == 1  # nothing is damaged any more


def spoil(file: Path, harm: str) -> None:
    content = bytearray(file.read_bytes())
    if harm == "gone":
        file.unlink()
        return
    if harm == "changed":
        content[60:90] = bytes(30)
    file.write_bytes(content[: len(content) // 2] if harm == "cut" else content)


def test_of_archived_columns_the_groups_that_are_whole_are_saved_and_the_rest_counts_as_dropped(path):
    archive(path)
    assert by_column(path) == 400
    spoil(twins_of(path)[0], "changed")
    repaired = list(store(str(path)).repair())[-1]
    [part] = repaired.parts
    assert part.rows + part.lost == 200
    assert part.rows > 0
    assert 0 < part.lost <= 50
    assert not repaired.is_complete
    assert list(Path(repaired.kept).iterdir())
    assert account(path) == (500 - part.lost, part.lost)
    assert by_column(path) == 400 - part.lost
    assert len(list(store(str(path)).repair())) == 1


@pytest.mark.parametrize("harm", ["cut", "gone"])
def test_archived_columns_that_nobody_can_read_are_counted_as_dropped(path, harm):
    archive(path)
    spoil(twins_of(path)[0], harm)
    [part] = list(store(str(path)).repair())[-1].parts
    assert (part.rows, part.lost) == (0, 200)
    assert account(path) == (300, 200)
    assert by_column(path) == 200


@pytest.mark.parametrize("spoilt", [False, True])
def test_archived_rows_of_a_file_that_was_set_aside_as_a_whole_are_stored_again(path, spoilt):
    before = contents(path)
    archive(path)
    if spoilt:
        twins_of(path)[0].write_bytes(b"other bytes")
    damage(path, "segments")
    SqliteWriter(path).close()
    make_twins(path)  # keeps the twins of the other database aside
    [adopted] = [repaired for repaired in store(str(path)).repair() if repaired.parts]
    assert adopted.is_complete is not spoilt
    assert sum(part.lost or 0 for part in adopted.parts) == (200 if spoilt else 0)
    after = sorted(({**row, "id": 0} for row in contents(path)), key=lambda row: row["timestamp"])
    assert after == [{**row, "id": 0} for row in before[200 if spoilt else 0 :]]
    assert account(path) == (300, 200) if spoilt else (500, 0)
