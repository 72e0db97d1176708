"""Databases in places where others may lay files: root becomes their user, and takes nothing of theirs for its own."""

from __future__ import annotations

import os
import shutil
import sqlite3
import tempfile
from contextlib import suppress
from pathlib import Path

import apsw
import pytest

from kernelsight.agent.acting.seal import Seal
from kernelsight.compat.db_manager import DatabaseManager
from kernelsight.errors import StoreError
from kernelsight.events.action import ActionStep
from kernelsight.ingest.status import write_status
from kernelsight.stores.base import open_reader, open_writer
from kernelsight.stores.sqlite.losses import Losses
from kernelsight.trusted_paths import as_owner_of

OTHER = 65534
SIDE_FILES = ("-wal", "-shm", "-journal")
root = pytest.mark.root
only_root = pytest.mark.skipif(os.geteuid() != 0, reason="needs root, to make what belongs to others")


@pytest.fixture
def place():
    """A directory below /tmp that others can get to."""
    folder = Path(tempfile.mkdtemp(prefix="kernelsight-places-"))
    folder.chmod(0o755)
    yield folder
    shutil.rmtree(folder)


@pytest.fixture
def theirs(place):
    """A database of another user, in that user's directory."""
    folder = place / "theirs"
    folder.mkdir()
    os.chown(folder, OTHER, OTHER)
    with as_owner_of(folder):
        open_writer(str(folder / "k.db")).close()
    return folder / "k.db"


@root
@only_root
def test_root_reads_the_database_of_another_user_as_that_user(theirs):
    reader = open_reader(str(theirs))
    assert (os.geteuid(), os.getegid()) == (0, 0)
    assert reader.query("SELECT count(*) AS n FROM memory_metrics") == [{"n": 0}]
    assert {path.stat().st_uid for path in theirs.parent.iterdir()} == {OTHER}
    reader.close()


@root
@only_root
def test_root_gives_no_file_away_that_is_put_beside_the_database_while_it_reads(theirs, place):
    """SQLite as root gives the log and its index to the owner of the database: whatever lies there at that moment."""

    def set_mode(mode):
        with as_owner_of(theirs.parent):
            connection = sqlite3.connect(theirs)
            assert connection.execute(f"PRAGMA journal_mode = {mode}").fetchone() == (mode,)
            connection.close()

    ours = place / "ours"
    ours.mkdir()
    side = [ours / f"{theirs.name}{suffix}" for suffix in ("-wal", "-shm")]
    for path in side:
        path.write_bytes(b"root's" * 100)
    set_mode("delete")
    shutil.copy(theirs, ours / theirs.name)
    os.chown(ours / theirs.name, 0, 0)
    reader = open_reader(str(theirs))
    set_mode("wal")  # so that the next statement opens the log and its index
    theirs.parent.rename(place / "other")
    theirs.parent.symlink_to(ours)
    os.chown(theirs.parent, OTHER, OTHER, follow_symlinks=False)
    with suppress(StoreError):
        reader.query("SELECT count(*) FROM memory_metrics")
    with suppress(StoreError):
        reader.close()
    theirs.parent.unlink()
    assert {(path.stat().st_uid, path.read_bytes()) for path in side} == {(0, b"root's" * 100)}


@root
@only_root
def test_root_reads_nothing_where_anybody_may_exchange_it(place):
    open_writer(str(place / "k.db")).close()
    place.chmod(0o777)
    with pytest.raises(StoreError, match=f"chmod go-w {place}"):
        open_reader(str(place / "k.db"))


@root
@only_root
@pytest.mark.parametrize("suffix", SIDE_FILES)
@pytest.mark.parametrize("is_new", [True, False], ids=["new", "there"])
def test_in_a_directory_for_all_what_others_lay_beside_a_database_is_not_taken(place, suffix, is_new):
    database = place / "k.db"
    place.chmod(0o1777)
    if not is_new:
        open_writer(str(database)).close()
    laid = place / f"k.db{suffix}"
    laid.unlink(missing_ok=True)
    laid.write_bytes(b"theirs")
    os.chown(laid, OTHER, OTHER)
    for begin in (lambda: open_writer(str(database)), lambda: DatabaseManager(database).init_schema()):
        with pytest.raises(StoreError, match="another user created this file"):
            begin()
    if not is_new:
        with pytest.raises(StoreError, match="another user created this file"):
            open_reader(str(database))
    assert laid.read_bytes() == b"theirs"


@root
@only_root
def test_in_a_directory_for_all_the_files_of_a_database_are_there_before_others_can_lay_them(place):
    place.chmod(0o1777)
    writer = open_writer(str(place / "k.db"))
    try:
        assert {(place / f"k.db{suffix}").stat().st_uid for suffix in ("-wal", "-shm")} == {0}
        open_reader(str(place / "k.db")).close()
    finally:
        writer.close()
    open_reader(str(place / "k.db")).close()
    assert {path.stat().st_uid for path in place.iterdir()} == {0}


@pytest.mark.parametrize(
    "sql",
    [
        "CREATE VIEW laid AS SELECT load_extension('/nowhere.so')",
        "CREATE VIEW laid AS SELECT fts3_tokenizer('simple')",
        "CREATE VIEW laid AS SELECT count(*) FROM pragma_wal_checkpoint('TRUNCATE')",
        "CREATE VIEW laid AS SELECT * FROM dbstat",
    ],
)
def test_a_view_that_somebody_laid_runs_nothing_with_effects(tmp_path, sql):
    database = tmp_path / "k.db"
    open_writer(str(database)).close()
    with sqlite3.connect(database) as connection:
        connection.execute(sql)
    connection.close()
    reader = open_reader(str(database))
    try:
        with pytest.raises(StoreError, match=r"unsafe use|not authorized|no such"):
            reader.query("SELECT * FROM laid")
        with pytest.raises(StoreError):
            reader.query("INSERT INTO memory_metrics (timestamp) VALUES (1)")
    finally:
        reader.close()


@pytest.mark.parametrize(
    "lay",
    [os.mkfifo, lambda path: path.symlink_to(path.with_name("target")), Path.mkdir],
    ids=["FIFO", "link", "directory"],
)
def test_a_file_of_losses_that_is_no_file_of_ours_is_neither_read_nor_written(tmp_path, lay):
    (tmp_path / "target").write_text("as it was")
    losses = Losses(tmp_path / "k.db")
    lay(losses.path)
    assert losses.take() == {}
    with pytest.raises(OSError, match=r"is a link|no ordinary file|Is a directory"):
        losses.write({})
    assert (tmp_path / "target").read_text() == "as it was"


def test_the_status_is_never_written_through_a_link(tmp_path):
    target, status = tmp_path / "target", tmp_path / "status.json"
    target.write_text("as it was")
    status.symlink_to(target)
    status.with_name(f"{status.name}.{os.getpid()}.new").symlink_to(target)
    write_status(status, {"done": True})
    assert target.read_text() == "as it was"
    assert not status.is_symlink()
    assert status.read_text() == '{"done":true}'


@root
@only_root
def test_a_key_in_a_folder_of_another_user_is_neither_made_nor_used(place):
    os.chown(place, OTHER, OTHER)
    step = ActionStep(1, action_id="a", stage="done", action="sysctl")
    with pytest.raises(StoreError, match="belongs to user"):
        Seal(place).sealed(step)
    assert list(place.iterdir()) == []


def test_readers_do_not_trust_the_schema(tmp_path):
    open_writer(str(tmp_path / "k.db")).close()
    reader = open_reader(str(tmp_path / "k.db"))
    try:
        assert reader.query("PRAGMA trusted_schema") == [{"trusted_schema": 0}]
    finally:
        reader.close()
    assert apsw.Connection(":memory:").execute("PRAGMA trusted_schema").fetchall() != []
