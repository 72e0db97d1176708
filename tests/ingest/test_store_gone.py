"""A database that is removed, moved, exchanged, cut or overwritten while the daemon runs: it is said and counted."""

import os
import re
import sqlite3
import sys
from contextlib import closing
from pathlib import Path

import pytest
from test_daemon import daemon, end, line, rows_in, until

sys.path.insert(0, str(Path(__file__).parents[1] / "stores"))
from damaging import PAGE, overwrite, pages_of

from kernelsight.stores.sqlite.whereabouts import set_aside


def remove(path: Path) -> None:
    path.unlink()


def remove_all(path: Path) -> None:
    for file in path.parent.glob(f"{path.name}*"):
        file.unlink()


def move(path: Path) -> None:
    path.rename(path.with_name("moved.db"))


def exchange(path: Path) -> None:
    other = path.with_name("other.db")
    with closing(sqlite3.connect(other)) as connection:
        connection.execute("CREATE TABLE mine (x)")
    other.replace(path)


def empty(path: Path) -> None:
    os.truncate(path, 0)


def cut(path: Path) -> None:
    os.truncate(path, path.stat().st_size // PAGE // 2 * PAGE)


CASES = {
    remove: "was removed",
    remove_all: "was removed",
    move: "was moved to .*moved.db",
    exchange: "another file put in its place",
    empty: "was cut to 0 bytes",
    cut: "was cut to|is damaged as a whole",
}


def accounts(path):
    with closing(sqlite3.connect(path)) as connection:
        [(account, *_)] = [
            connection.execute(
                "SELECT lines, stored, rejected, dropped, in_memory FROM collectors WHERE kind = 'syscall'"
            ).fetchall()
        ]
    return account


def checkpointed(path):
    """All that is stored is in the file itself, not in its log."""
    with closing(sqlite3.connect(path)) as connection:
        return connection.execute("PRAGMA wal_checkpoint(TRUNCATE)").fetchone()[0] == 0


@pytest.mark.parametrize("tamper", CASES, ids=lambda tamper: tamper.__name__)
def test_what_becomes_of_the_file_is_said_and_counted_and_the_daemon_goes_on(tmp_path, tamper):
    path = tmp_path / "k.db"
    with daemon(path, batch_size=100, batch_timeout_s=0.05) as process:
        process.stdin.write(b"".join(map(line, range(3000))))
        until(lambda: rows_in(path) == 3000, process)
        until(lambda: checkpointed(path), process)
        tamper(path)
        process.stdin.write(b"".join(map(line, range(3000, 5000))))
        process.stdin.write(b"not JSON\n")
        process.stdin.close()
        log = end(process)
    assert process.returncode == 1, log
    assert_said(log, CASES[tamper])
    lines, stored, rejected, dropped, in_memory = accounts(path)
    assert rows_in(path) == stored >= 2000 - 1000
    assert (lines, in_memory) == (5000, 0)
    assert lines == stored + rejected + dropped + in_memory
    if tamper is move:
        assert rows_in(tmp_path / "moved.db") + stored == 5000
    with closing(sqlite3.connect(path)) as connection:
        assert connection.execute("PRAGMA integrity_check").fetchall() == [("ok",)]


def assert_said(log, pattern):
    assert re.search(pattern, log), log
    assert "count as dropped" in log


def test_a_file_that_goes_while_nothing_comes_is_made_again_within_seconds(tmp_path):
    path = tmp_path / "k.db"
    with daemon(path, batch_size=10, batch_timeout_s=0.05) as process:
        process.stdin.write(b"".join(map(line, range(10))))
        until(lambda: rows_in(path) == 10, process)
        path.unlink()
        until(lambda: path.exists() and sqlite_has(path), process)
        process.stdin.close()
        log = end(process)
    assert process.returncode == 1, log
    assert accounts(path) == (10, 0, 0, 10, 0)


def sqlite_has(path):
    with closing(sqlite3.connect(path)) as connection:
        try:
            return connection.execute("SELECT count(*) FROM collectors").fetchone()[0]
        except sqlite3.OperationalError:
            return 0


def test_a_vacuum_is_no_loss(tmp_path):
    path = tmp_path / "k.db"
    with daemon(path, batch_size=100, batch_timeout_s=0.05) as process:
        process.stdin.write(b"".join(map(line, range(20_000))))
        until(lambda: rows_in(path) == 20_000, process)
        with closing(sqlite3.connect(path)) as connection:
            connection.execute("DELETE FROM syscall_events")
            connection.commit()
            connection.execute("VACUUM")
        until(lambda: checkpointed(path), process)
        process.stdin.write(b"".join(map(line, range(20_000, 20_100))))
        until(lambda: rows_in(path) == 100, process)
        process.stdin.close()
        log = end(process)
    assert process.returncode == 0, log


@pytest.mark.parametrize("overwritten", ["page 1", "segments", "collectors"])
def test_a_daemon_that_finds_its_database_damaged_as_a_whole_sets_it_aside(tmp_path, overwritten):
    path = tmp_path / "k.db"
    for start, said in (0, ""), (3000, "was damaged as a whole"):
        with daemon(path, batch_size=100, batch_timeout_s=0.05) as process:
            process.stdin.write(b"".join(map(line, range(start, start + 3000))))
            process.stdin.close()
            log = end(process)
        assert process.returncode == 0, log
        assert said in log
        if not start:
            overwrite(path, 1 if overwritten == "page 1" else pages_of(path, overwritten)[0], b"\0" * PAGE)
    assert rows_in(path) == 3000
    lines, stored, rejected, dropped, in_memory = accounts(path)
    assert lines == stored + rejected + dropped + in_memory
    assert stored == 3000
    [aside] = set_aside(path)
    assert aside.name in log
    if overwritten == "segments":
        assert dropped == 3000


def test_a_file_of_somebody_else_is_not_set_aside(tmp_path):
    path = tmp_path / "letter.txt"
    path.write_text("Dear segments,\n" * 1000)
    with daemon(path) as process:
        process.stdin.close()
        log = end(process)
    assert process.returncode == 1
    assert "is not an SQLite database" in log
    assert [file.name for file in tmp_path.iterdir() if "damaged" in file.name] == []
    assert path.read_text().startswith("Dear segments")
