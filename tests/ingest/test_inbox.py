"""What other processes have to record reaches the one writer, and survives on the way."""

from __future__ import annotations

import os
import subprocess
import sys
import time

import pytest

from kernelsight.events.action import ActionStep
from kernelsight.ingest.inbox import deliver
from kernelsight.query import rows
from kernelsight.stores.base import open_writer
from kernelsight.stores.inbox import drop, inbox, waiting

COMMAND = [sys.executable, "-c", "from kernelsight.surfaces.cli.main import main; main(prog_name='kernelsight')"]
PATIENCE_S = 20


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
    drop(path, [step("proposed"), step("begun")])
    assert deliver(str(path))
    assert stages(path) == ["proposed", "begun"]
    assert waiting(path) == []


def test_while_another_process_writes_it_waits(tmp_path):
    path = tmp_path / "db"
    writer = open_writer(str(path))
    drop(path, [step("begun")])
    assert not deliver(str(path))
    assert len(waiting(path)) == 1
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
        drop(path, [step("begun"), step("done")])
        until(lambda: not waiting(path), "the inbox is emptied with nothing on the pipe")
        assert stages(path) == ["begun", "done"]
        # Half a line on the pipe is not glued to what comes through the inbox.
        assert daemon.stdin is not None
        daemon.stdin.write('{"type":"load","timestamp":')
        daemon.stdin.flush()
        drop(path, [step("verified")])
        until(lambda: not waiting(path), "the inbox is emptied")
        daemon.stdin.write(f'{time.time_ns()},"load_1min":1.0}}\n')
    finally:
        _, said = daemon.communicate(timeout=PATIENCE_S)
    assert stages(path) == ["begun", "done", "verified"]
    assert "action: 3 lines = 3 stored + 0 rejected" in said
    assert "load: 1 lines = 1 stored + 0 rejected" in said


def test_what_is_left_while_the_daemon_ends_is_stored(tmp_path):
    path = tmp_path / "db"
    drop(path, [step("done")])
    ended = subprocess.run(
        [*COMMAND, "ingest", "--db-path", str(path)], input=b"", capture_output=True, check=False, timeout=PATIENCE_S
    )
    assert ended.returncode == 0
    assert stages(path) == ["done"]
    assert waiting(path) == []


def test_half_a_file_is_not_taken(tmp_path):
    path = tmp_path / "db"
    drop(path, [step("done")])
    (inbox(path) / "00000000000000000001-1-1.new").write_bytes(b'{"type":"act')
    assert deliver(str(path))
    assert stages(path) == ["done"]


@pytest.mark.root
@pytest.mark.skipif(os.geteuid() != 0, reason="needs root")
def test_what_root_leaves_belongs_to_who_has_the_database(tmp_path):
    os.chown(tmp_path, 65534, 65534)
    [path] = [drop(tmp_path / "db", [step("begun")])]
    assert path.stat().st_uid == path.parent.stat().st_uid == 65534
