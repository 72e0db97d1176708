"""A backup holds one moment of a store that is written meanwhile; what comes back is checked."""

from __future__ import annotations

import json
import os
import time
from contextlib import closing
from pathlib import Path

import pytest
from rows import rows, struct

from kernelsight.errors import StoreBusyError, StoreError
from kernelsight.stores.base import Account, Batch, open_reader, store
from kernelsight.stores.limits import EVERY
from kernelsight.stores.sqlite import backup as backup_module
from kernelsight.stores.sqlite.twins.work import make_twins
from kernelsight.stores.sqlite.writer import SqliteWriter

TABLE = "syscall_events"
STRUCT = struct(TABLE)
MINUTE = 60 * 10**9


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "data" / "k.db"


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    return tmp_path / "backup"


@pytest.fixture
def writer(path: Path):
    path.parent.mkdir()
    with closing(SqliteWriter(path, segment_rows=200)) as writer:
        yield writer


def write(writer, count, start=0):
    for first in range(start, start + count, 100):
        size = min(100, start + count - first)
        account = Account(first + size, first + size)
        assert not writer.write(Batch({STRUCT: rows(TABLE, size, first)}, [], {"syscall": account}))


def finished(work):
    while True:
        try:
            next(work)
        except StopIteration as done:
            return done.value


def count(path: Path) -> tuple[int, int]:
    """Rows, and lines that the books say are stored."""
    with closing(open_reader(str(path))) as reader:
        assert reader.query("PRAGMA integrity_check") == [{"integrity_check": "ok"}]
        [there] = reader.query(f"SELECT count(*) AS n FROM {TABLE}")
        [booked] = reader.query("SELECT stored AS n FROM collectors WHERE kind = 'syscall'")
        return there["n"], booked["n"]


def test_a_backup_is_the_state_of_one_moment_however_much_is_written_meanwhile(path, folder, writer, monkeypatch):
    monkeypatch.setattr(backup_module, "_STEP_PAGES", 1)
    write(writer, 500)
    make_twins(path)
    work = store(str(path)).back_up(folder)
    written = 500
    while True:
        try:
            next(work)
        except StopIteration as done:
            result = done.value
            break
        write(writer, 20, written)
        written += 20
    assert written > 600
    assert result.rows == 500
    again = path.with_name("again.db")
    assert finished(store(str(again)).restore(folder)).rows == 500
    assert count(again) == (500, 500)
    assert count(path) == (written, written)
    assert sizes_of(folder)
    with closing(SqliteWriter(again, segment_rows=200)) as restored:
        restored.write(Batch({STRUCT: rows(TABLE, 10, 500)}, [], {"syscall": Account(10, 10)}))
    assert count(again) == (510, 510)


def sizes_of(folder: Path) -> list[int]:
    return [file.stat().st_size for file in folder.glob("twins/*/*.parquet")]


def test_rows_that_are_columns_alone_are_in_the_backup(path, folder, writer):
    write(writer, 500)
    make_twins(path)
    writer.set_limits({(EVERY, "keep_sql"): MINUTE})
    list(writer.let_go(time.time_ns() + 60 * MINUTE))
    assert finished(store(str(path)).back_up(folder)).rows == 500
    again = path.with_name("again.db")
    finished(store(str(again)).restore(folder))
    assert count(again)[0] == 100
    [kept] = [kept for kept in store(str(again)).retained({}).kept if kept.table == TABLE]
    assert (kept.rows, kept.archived_rows) == (100, 400)
    originals = {file.name: file.read_bytes() for file in path.with_name("k.db.twins").glob("*/*.parquet")}
    assert {file.name: file.read_bytes() for file in path.with_name("again.db.twins").glob("*/*.parquet")} == originals


def test_a_run_that_was_ended_is_gone_on_with(path, folder, writer):
    write(writer, 900)
    make_twins(path)
    work = store(str(path)).back_up(folder)
    while not list(folder.glob("twins/*/*.parquet")):
        next(work)
    work.close()
    with pytest.raises(StoreError, match="no finished backup"):
        finished(store(str(path.with_name("again.db"))).restore(folder))
    done = finished(store(str(path)).back_up(folder))
    twins = sum(sizes_of(folder))
    assert done.bytes - done.new_bytes > 0
    assert done.new_bytes < done.bytes
    unchanged = finished(store(str(path)).back_up(folder))
    assert unchanged.bytes - unchanged.new_bytes == twins
    assert len(list(folder.glob("*.db"))) == 1


def test_a_restoration_that_was_ended_is_gone_on_with_and_leaves_no_database(path, folder, writer):
    write(writer, 900)
    make_twins(path)
    finished(store(str(path)).back_up(folder))
    again = path.with_name("again.db")
    work = store(str(again)).restore(folder)
    next(work)
    next(work)
    work.close()
    assert not again.exists()
    finished(store(str(again)).restore(folder))
    assert count(again) == (900, 900)
    assert not list(again.parent.glob("*restoring*"))


def test_a_twin_that_goes_before_it_is_copied_begins_a_newer_state(path, folder, writer):
    write(writer, 500)
    make_twins(path)
    work = store(str(path)).back_up(folder)
    next(work)
    writer.set_limits({(EVERY, "keep"): MINUTE})
    list(writer.let_go(2**62))
    for file in path.with_name("k.db.twins").glob("*/*.parquet"):
        file.unlink()
    assert finished(work).rows == 100
    assert sizes_of(folder) == []


def test_what_is_not_what_was_backed_up_does_not_come_back(path, folder, writer):
    write(writer, 500)
    make_twins(path)
    finished(store(str(path)).back_up(folder))
    again = path.with_name("again.db")
    [database] = folder.glob("*.db")
    whole = database.read_bytes()
    database.write_bytes(whole[:-1] + bytes([whole[-1] ^ 1]))
    with pytest.raises(StoreError, match="checksum differs"):
        finished(store(str(again)).restore(folder))
    database.write_bytes(whole)
    twin = next(folder.glob("twins/*/*.parquet"))
    twin.unlink()
    other = path.with_name("other.db")
    with pytest.raises(StoreError, match="missing from the backup"):
        finished(store(str(other)).restore(folder))
    assert not again.exists()
    assert not other.exists()


def test_a_manifest_that_names_other_files_is_refused(path, folder, writer):
    write(writer, 10)
    finished(store(str(path)).back_up(folder))
    manifest = json.loads((folder / "manifest.json").read_text())
    for name in ("../k.db", "/etc/passwd", "twins/../k.db", "twins/a/../../x", "1.db/../../x", "twins/x/.."):
        manifest["database"]["path"] = name
        (folder / "manifest.json").write_text(json.dumps(manifest))
        with pytest.raises(StoreError, match="names files that no backup has"):
            finished(store(str(path.with_name("again.db"))).restore(folder))


def test_nothing_is_overwritten(path, folder, writer, tmp_path):
    write(writer, 10)
    finished(store(str(path)).back_up(folder))
    with pytest.raises(StoreError, match="exists; move the database"):
        finished(store(str(path)).restore(folder))
    (tmp_path / "full").mkdir()
    (tmp_path / "full" / "thesis.odt").write_text("years of work")
    with pytest.raises(StoreError, match="something else than a backup"):
        finished(store(str(path)).back_up(tmp_path / "full"))
    again = path.with_name("again.db")
    with closing(SqliteWriter(again)):
        again.unlink()
        for side in again.parent.glob("again.db-*"):
            side.unlink()
        with pytest.raises(StoreBusyError):
            finished(store(str(again)).restore(folder))


def test_a_backup_is_its_owners_alone(path, folder, writer):
    write(writer, 500)
    make_twins(path)
    finished(store(str(path)).back_up(folder))
    assert folder.stat().st_mode & 0o077 == 0
    for file in [*folder.glob("*.db"), folder / "manifest.json"]:
        assert file.stat().st_mode & 0o077 == 0, os.fspath(file)


def test_databases_of_others_are_no_backup_and_stay(path, folder, writer):
    write(writer, 100)
    folder.mkdir()
    other = folder / "photos.db"
    other.write_bytes(b"SQLite format 3\0")
    with pytest.raises(StoreError, match="something else than a backup"):
        finished(store(str(path)).back_up(folder))
    assert other.exists()
    with pytest.raises(StoreError, match="something else than a backup"):
        finished(store(str(path)).back_up(path.parent))
    assert path.exists()
