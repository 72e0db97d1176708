"""What other processes have to record reaches the one writer, and survives on the way."""

from __future__ import annotations

import os
import sqlite3
import subprocess
import sys
import tempfile
import time
from contextlib import closing
from pathlib import Path

import pytest

from kernelsight.errors import StoreError
from kernelsight.events.action import ActionStep
from kernelsight.ingest.accounts import Accounts
from kernelsight.ingest.decode import LineDecoder
from kernelsight.ingest.deliveries import Deliveries, deliver
from kernelsight.query import rows
from kernelsight.stores.base import open_writer, store

COMMAND = [sys.executable, "-c", "from kernelsight.surfaces.cli.main import main; main(prog_name='kernelsight')"]
PATIENCE_S = 20


def inbox(path):
    return store(os.fspath(path)).inbox


def step(stage, action_id="a1"):
    return ActionStep(time.time_ns(), action_id=action_id, stage=stage, action="renice")


def stages(path):
    return [row["stage"] for row in rows(str(path), "actions", "1h")]


def until(condition, what):
    deadline = time.monotonic() + PATIENCE_S
    while time.monotonic() < deadline:
        if condition():
            return
        time.sleep(0.05)
    raise AssertionError(f"{what}: not within {PATIENCE_S} s")


def test_without_a_daemon_it_is_stored_at_once(tmp_path):
    path = tmp_path / "db"
    inbox(path).leave([step("proposed"), step("begun")])
    assert deliver(str(path))
    assert stages(path) == ["proposed", "begun"]
    assert inbox(path).waiting() == []


def test_while_another_process_writes_it_waits(tmp_path):
    path = tmp_path / "db"
    writer = open_writer(str(path))
    inbox(path).leave([step("begun")])
    assert not deliver(str(path))
    assert len(inbox(path).waiting()) == 1
    writer.close()
    assert deliver(str(path))
    assert stages(path) == ["begun"]


def test_a_running_daemon_takes_it_and_counts_it(tmp_path):
    path = tmp_path / "db"
    daemon = subprocess.Popen(
        [*COMMAND, "ingest", "--db-path", str(path)], stdin=subprocess.PIPE, stderr=subprocess.PIPE, text=True
    )
    try:
        until(path.exists, "the database")
        inbox(path).leave([step("begun"), step("done")])
        until(lambda: not inbox(path).waiting(), "the inbox is emptied with nothing on the pipe")
        assert stages(path) == ["begun", "done"]
        # Half a line on the pipe is not glued to what comes through the inbox.
        assert daemon.stdin is not None
        daemon.stdin.write('{"type":"load","timestamp":')
        daemon.stdin.flush()
        inbox(path).leave([step("verified")])
        until(lambda: not inbox(path).waiting(), "the inbox is emptied")
        daemon.stdin.write(f'{time.time_ns()},"load_1min":1.0}}\n')
    finally:
        _, said = daemon.communicate(timeout=PATIENCE_S)
    assert stages(path) == ["begun", "done", "verified"]
    assert "action: 3 lines = 3 stored + 0 rejected" in said
    assert "load: 1 lines = 1 stored + 0 rejected" in said


def test_what_is_left_while_the_daemon_ends_is_stored(tmp_path):
    path = tmp_path / "db"
    inbox(path).leave([step("done")])
    ended = subprocess.run(
        [*COMMAND, "ingest", "--db-path", str(path)], input=b"", capture_output=True, check=False, timeout=PATIENCE_S
    )
    assert ended.returncode == 0
    assert stages(path) == ["done"]
    assert inbox(path).waiting() == []


def test_who_delivers_from_an_inbox_that_others_may_write_is_told_as_of_any_store_that_fails(tmp_path):
    path = tmp_path / "db"
    inbox(path).leave([step("begun")])
    folder = inbox(path).folder
    folder.chmod(0o777)
    with pytest.raises(StoreError, match=f"others may write it; type: chmod go-w {folder}"):
        deliver(str(path))
    folder.chmod(0o700)
    assert deliver(str(path))
    assert stages(path) == ["begun"]


def test_half_a_file_is_not_taken(tmp_path):
    path = tmp_path / "db"
    inbox(path).leave([step("done")])
    (inbox(path).folder / "00000000000000000001-1-1.new").write_bytes(b'{"type":"act')
    assert deliver(str(path))
    assert stages(path) == ["done"]


def ingest_nothing(path):
    return subprocess.run(
        [*COMMAND, "ingest", "--db-path", str(path)],
        input=b"",
        capture_output=True,
        check=False,
        timeout=PATIENCE_S,
    )


def aside(path):
    return sorted(file.name for file in (inbox(path).folder / "rejected").iterdir())


def refusals(path):
    with closing(sqlite3.connect(path)) as connection:
        return connection.execute("SELECT reason, raw FROM rejected_events").fetchall()


def leave(path, name, data):
    inbox(path).folder.mkdir(exist_ok=True)
    (inbox(path).folder / f"{name}.ndjson").write_bytes(data)


def test_a_number_of_309_digits_in_the_inbox_is_one_refused_line(tmp_path):
    path = tmp_path / "db"
    leave(path, "1", b'{"ts":1795000000,"type":"syscall","latency_ms":%s}\n' % (b"9" * 309))
    inbox(path).leave([step("done")])
    ended = ingest_nothing(path)
    assert ended.returncode == 0, ended.stderr
    assert inbox(path).waiting() == []
    assert stages(path) == ["done"]
    assert [reason for reason, _ in refusals(path)] == ["wrong value: latency_ns: not an integer of 64 bits"]


def test_what_is_no_file_that_can_be_taken_is_set_aside_and_the_others_are_stored(tmp_path):
    path = tmp_path / "db"
    inbox(path).folder.mkdir()
    (inbox(path).folder / "0.ndjson").mkdir()
    with (inbox(path).folder / "1.ndjson").open("wb") as large:
        large.truncate(17 << 20)
    inbox(path).leave([step("done")])
    said = ingest_nothing(path).stderr.decode()
    assert inbox(path).waiting() == []
    assert stages(path) == ["done"]
    assert aside(path) == ["0.ndjson", "0.ndjson.reason", "1.ndjson", "1.ndjson.reason"]
    assert [raw for _, raw in refusals(path)] == ["0.ndjson", "1.ndjson"]
    assert "no ordinary file" in said
    assert "unknown: 2 lines = 0 stored + 2 rejected" in said
    assert "set aside" not in ingest_nothing(path).stderr.decode()


def test_a_file_at_which_the_decoder_breaks_is_set_aside_with_the_place(tmp_path):
    class Breaks(LineDecoder):
        def feed(self, data):
            decoded = super().feed(data)
            if b"break" in data:
                raise OverflowError
            return decoded

    path = str(tmp_path / "db")
    leave(path, "1", b'{"type":"break"}\n')
    inbox(path).leave([step("done")])
    accounts = Accounts()
    box = Deliveries(inbox(path), accounts, Breaks)
    decoded = list(box.take())
    assert sum(len(rows) for part in decoded for rows in part.events.values()) == 1
    assert aside(path) == ["1.ndjson", "1.ndjson.reason"]
    reason = (inbox(path).folder / "rejected" / "1.ndjson.reason").read_text()
    assert "OverflowError in test_inbox.py:" in reason
    assert list(box.take()) == []


def test_a_file_at_which_three_writers_were_killed_is_set_aside(tmp_path):
    path = tmp_path / "db"
    inbox(path).leave([step("begun")])
    for _ in range(3):
        assert [part.count for part in Deliveries(inbox(path), Accounts()).take()] == [1, 0]  # killed before it commits
    ended = ingest_nothing(path)
    assert b"inbox file set aside: 3 writers ended while they took it" in ended.stderr
    assert len(aside(path)) == 2
    inbox(path).leave([step("done")])
    ingest_nothing(path)
    assert stages(path) == ["done"]


def test_a_file_that_cannot_be_moved_is_refused_once_and_not_removed(tmp_path):
    path = str(tmp_path / "db")
    leave(path, "1", b"x")
    (inbox(path).folder / "1.ndjson").unlink()
    (inbox(path).folder / "1.ndjson").mkdir()
    (inbox(path).folder / "rejected").write_bytes(b"no folder")
    box = Deliveries(inbox(path), Accounts())
    assert [part.count for part in box.take()] == [1]
    box.committed()
    assert list(box.take()) == []
    assert inbox(path).waiting() == [inbox(path).folder / "1.ndjson"]


@pytest.mark.root
@pytest.mark.skipif(os.geteuid() != 0, reason="needs root")
def test_what_root_leaves_belongs_to_who_has_the_database():
    with tempfile.TemporaryDirectory(prefix="kernelsight-owner-") as folder:
        os.chown(folder, 65534, 65534)
        path = inbox(Path(folder) / "db").leave([step("begun")])
        assert path.stat().st_uid == path.parent.stat().st_uid == 65534


@pytest.mark.parametrize(
    ("lay", "says"),
    [
        (lambda path, secret: path.symlink_to(secret), "is a link"),
        (lambda path, secret: os.link(secret, path), "2 names"),
        (lambda path, _: os.mkfifo(path), "no ordinary file"),
        (lambda path, _: (path.write_text("{}\n"), path.chmod(0o666)), "others may write it"),
    ],
    ids=["link", "second name", "FIFO", "world-writable"],
)
def test_what_somebody_laid_into_the_inbox_is_neither_read_nor_waited_for(tmp_path, lay, says):
    path, secret = tmp_path / "db", tmp_path / "secret"
    secret.write_text('{"type":"load","timestamp":1,"comm":"hunter2"}\n')
    inbox(path).leave([step("proposed")])
    lay(inbox(path).folder / "00000-laid.ndjson", secret)
    ingest_nothing(path)
    assert stages(path) == ["proposed"]
    refused = refusals(path)
    assert any(says in str(row) for row in refused)
    assert "hunter2" not in str(refused)
    assert secret.exists()
    assert inbox(path).waiting() == []


def test_an_inbox_that_is_a_link_is_neither_read_nor_emptied(tmp_path):
    path, elsewhere = tmp_path / "db", tmp_path / "elsewhere"
    elsewhere.mkdir()
    (elsewhere / "1.ndjson").write_text("not ours\n")
    inbox(path).folder.symlink_to(elsewhere)
    ingest_nothing(path)
    assert (elsewhere / "1.ndjson").read_text() == "not ours\n"
    assert any("is a link" in str(row) for row in refusals(path))
    with pytest.raises(StoreError, match="is a link"):
        inbox(path).leave([step("proposed")])


@pytest.mark.parametrize("name", ["db", "db.lock"])
def test_a_database_or_lock_that_is_a_link_of_a_stranger_or_a_second_name_changes_nothing(tmp_path, name):
    path, victim = tmp_path / "db", tmp_path / "victim"
    victim.write_text("root's own\n")
    os.link(victim, tmp_path / name)
    with pytest.raises(StoreError, match="2 names"):
        open_writer(str(path))
    assert victim.read_text() == "root's own\n"
    (tmp_path / name).unlink()
    (tmp_path / "db.lock").unlink(missing_ok=True)
    (tmp_path / "db.lock").symlink_to(victim)
    with pytest.raises(StoreError, match="is a link"):
        open_writer(str(path))
    assert victim.read_text() == "root's own\n"


def test_a_database_in_a_directory_that_others_may_write_is_refused_with_what_to_do(tmp_path):
    folder = tmp_path / "open"
    folder.mkdir()
    folder.chmod(0o777)
    with pytest.raises(StoreError, match=f"others may write it; type: chmod go-w {folder}"):
        open_writer(str(folder / "db"))
    assert list(folder.iterdir()) == []


def test_a_database_is_its_owners_alone_unless_permissions_are_named(tmp_path):
    open_writer(str(tmp_path / "private")).close()
    open_writer(str(tmp_path / "shared"), mode=0o644).close()
    modes = {path.name: path.stat().st_mode & 0o777 for path in tmp_path.iterdir()}
    assert modes["private"] in {0o600, 0o640}
    assert modes["shared"] == 0o644
