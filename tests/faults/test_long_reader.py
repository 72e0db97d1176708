"""A reader that holds a transaction open: the write-ahead log grows, the reader is named, and the log ends with it."""

from __future__ import annotations

import subprocess
import sys
import time
from contextlib import closing
from pathlib import Path

import pytest

sys.path.insert(0, str(Path(__file__).parents[1] / "stores"))
from rows import rows, struct

from kernelsight.stores.base import Batch
from kernelsight.stores.sqlite import checkpoint
from kernelsight.stores.sqlite.writer import SqliteWriter

TABLE = "syscall_events"
HOLDS = """
import sqlite3, sys
connection = sqlite3.connect(sys.argv[1], isolation_level=None)
connection.execute("BEGIN")
connection.execute("SELECT count(*) FROM syscall_events").fetchall()
print("holds", flush=True)
sys.stdin.read()
"""


@pytest.mark.skipif(not Path("/proc/locks").exists(), reason="needs /proc/locks")
def test_the_reader_that_keeps_the_log_from_starting_anew_is_named_until_it_ends(tmp_path, monkeypatch):
    monkeypatch.setattr(checkpoint, "LONGEST_PAGES", 100)
    monkeypatch.setattr(checkpoint, "BACKGROUND_PAGES", 50)
    path = tmp_path / "k.db"
    log = path.with_name("k.db-wal")
    with closing(SqliteWriter(path)) as writer:
        written = 0

        def write_until(condition):
            nonlocal written
            deadline = time.monotonic() + 60
            while not condition():
                assert time.monotonic() < deadline
                writer.write(Batch({struct(TABLE): rows(TABLE, 500, written)}))
                written += 500

        write_until(lambda: written)
        with subprocess.Popen(
            [sys.executable, "-c", HOLDS, path], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
        ) as reader:
            assert reader.stdout.readline() == "holds\n"
            write_until(lambda: writer.maintain(budget_s=0.01))
            [warning] = writer.maintain(budget_s=0.01)
            assert "the write-ahead log has grown to" in warning
            assert str(reader.pid) in warning
            reader.stdin.close()
            assert reader.wait(60) == 0
        write_until(lambda: not writer.maintain(budget_s=0.01))
        size = log.stat().st_size
        before = written
        write_until(lambda: written > before + 10_000)
        assert log.stat().st_size <= size  # it begins anew in the file that it has
    assert not log.exists() or not log.stat().st_size
