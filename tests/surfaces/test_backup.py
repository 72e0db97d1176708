"""A backup of a database that a daemon writes to, from the command line and back."""

from __future__ import annotations

import itertools
import sqlite3
import threading
from contextlib import closing

from processes import kernelsight, running, until

from kernelsight.events.scheduler import Load
from kernelsight.events.wire import encode_lines

NOW = 1_790_000_000 * 10**9


def lines(first: int, count: int) -> bytes:
    return encode_lines([Load(timestamp=NOW + n * 10**6, load_1min=n / 8) for n in range(first, first + count)])


def rows(path) -> tuple[int, int]:
    """Rows, and lines that the books call stored."""
    with closing(sqlite3.connect(f"file:{path}?mode=ro", uri=True)) as connection:
        assert connection.execute("PRAGMA integrity_check").fetchone() == ("ok",)
        [there] = connection.execute("SELECT count(*) FROM load_metrics").fetchone()
        [stored] = connection.execute("SELECT stored FROM collectors WHERE kind = 'load'").fetchone()
        return there, stored


def test_a_backup_is_made_beside_a_daemon_that_writes_and_comes_back_whole(tmp_path):
    path, folder, again = tmp_path / "k.db", tmp_path / "backup", tmp_path / "again.db"
    ends = threading.Event()
    sent = 0

    def feed(pipe):
        nonlocal sent
        for first in itertools.count(0, 500):
            if ends.wait(0.02):
                return
            pipe.write(lines(first, 500))
            sent += 500

    with running("ingest", "--db-path", path, text=False, stdin=-1) as daemon:
        feeder = threading.Thread(target=feed, args=(daemon.stdin,))
        feeder.start()
        try:
            until(lambda: path.exists() and sent > 2_000, "some rows")
            for _ in range(2):
                done = kernelsight("backup", folder, "--db-path", path)
                assert done.returncode == 0, done.stderr
        finally:
            ends.set()
            feeder.join()
        daemon.stdin.close()
        daemon.stdin = None
        assert daemon.wait(60) == 0
    done = kernelsight("restore", folder, "--db-path", again)
    assert done.returncode == 0, done.stderr
    there, stored = rows(again)
    assert 0 < there == stored < sent
    assert rows(path) == (sent, sent)
    refused = kernelsight("restore", folder, "--db-path", path)
    assert refused.returncode == 1
    assert "move the database" in refused.stderr
