"""The daemon as a process: signals, ends, memory, a store that cannot be written, and kill -9."""

import json
import os
import re
import resource
import signal
import sqlite3
import subprocess
import sys
import time
from contextlib import closing, contextmanager
from pathlib import Path

import pytest
from stored import read

NOW = 1_795_000_000_123_456_789
START = (
    "import sys; from pathlib import PosixPath; from kernelsight.ingest import daemon;"
    "options = eval(sys.argv[2]);"
    "sys.exit(daemon.run(0, sys.argv[1], daemon.Settings(**options), sys.stderr))"
)
DEADLINE_S = 30


def line(number: int) -> bytes:
    return b'{"type":"syscall","timestamp":%d,"pid":%d,"latency_ns":5,"comm":"x"}\n' % (NOW + number, number)


@contextmanager
def daemon(path: Path, stdin=subprocess.PIPE, **settings):
    command = [sys.executable, "-c", START, str(path), repr(settings)]
    with subprocess.Popen(command, stdin=stdin, stderr=subprocess.PIPE, bufsize=0) as process:
        try:
            yield process
        finally:
            process.kill()


def until(condition, process):
    """Wait for something to become true, and return it."""
    deadline = time.monotonic() + DEADLINE_S
    while time.monotonic() < deadline:
        if found := condition():
            return found
        assert process.poll() is None, process.stderr.read().decode()
        time.sleep(0.01)
    raise AssertionError("it did not happen in time")


def rows_in(path: Path) -> int:
    if not path.exists():
        return 0
    with closing(sqlite3.connect(path)) as connection:
        try:
            return connection.execute("SELECT count(*) FROM syscall_events").fetchone()[0]
        except sqlite3.OperationalError:  # the tables are being made
            return 0


def end(process) -> str:
    log = process.stderr.read().decode()
    process.wait(DEADLINE_S)
    return log


def test_a_batch_is_committed_when_it_is_full_and_when_it_has_waited(tmp_path):
    path = tmp_path / "t.db"
    with daemon(path, batch_size=10, batch_timeout_s=3600.0) as process:
        process.stdin.write(b"".join(map(line, range(10))))
        until(lambda: rows_in(path) == 10, process)
    with daemon(tmp_path / "u.db", batch_size=1000, batch_timeout_s=0.05) as process:
        process.stdin.write(line(1))
        until(lambda: rows_in(tmp_path / "u.db") == 1, process)


def test_a_batch_may_wait_for_longer_than_poll_can(tmp_path):
    with daemon(tmp_path / "t.db", batch_size=2, batch_timeout_s=1e9) as process:
        process.stdin.write(line(1))
        with pytest.raises(subprocess.TimeoutExpired):
            process.wait(1)
        process.stdin.write(line(2))
        until(lambda: rows_in(tmp_path / "t.db") == 2, process)


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_a_signal_stores_everything_that_was_sent(tmp_path, number):
    path, status = tmp_path / "t.db", tmp_path / "status.json"
    with daemon(path, batch_size=10**6, batch_timeout_s=3600.0, status_path=status) as process:
        process.stdin.write(b"".join(map(line, range(5000))))
        until(lambda: status.exists() and json.loads(status.read_bytes())["total"]["lines"] == 5000, process)
        process.stdin.write(b"".join(map(line, range(5000, 9000))) + line(1)[:-5])
        process.send_signal(number)
        log = end(process)
    assert process.returncode == 0, log
    result = read(path)
    assert result.total == {"lines": 9001, "stored": 9000, "rejected": 1, "dropped": 0, "in_memory": 0}
    assert result.rows.total() == 9000
    assert "all: 9,001 lines = 9,000 stored + 1 rejected + 0 dropped + 0 in memory" in log


def test_the_end_of_the_input_stores_everything(tmp_path):
    path = tmp_path / "t.db"
    with daemon(path, batch_size=10**6, batch_timeout_s=3600.0) as process:
        process.stdin.write(b"".join(map(line, range(100))) + line(100).strip())
        process.stdin.close()
        log = end(process)
    assert process.returncode == 0, log
    assert rows_in(path) == 101


def test_sigusr1_tells_how_it_fares_and_it_goes_on(tmp_path):
    path = tmp_path / "t.db"
    with daemon(path, batch_timeout_s=0.01) as process:
        process.stdin.write(line(1) + b"nonsense\n")
        until(lambda: rows_in(path) == 1, process)
        process.send_signal(signal.SIGUSR1)
        told = b""
        while b"all: " not in told:
            told += os.read(process.stderr.fileno(), 65536)
        process.stdin.write(line(2))
        process.stdin.close()
        log = told.decode() + end(process)
    assert "syscall: 1 lines = 1 stored + 0 rejected" in log
    assert "unknown: 1 lines = 0 stored + 1 rejected" in log
    assert "syscall: 2 lines = 2 stored" in log


def test_the_status_file_is_whole_and_has_what_a_supervisor_shows(tmp_path):
    path, status = tmp_path / "t.db", tmp_path / "status.json"
    with daemon(path, batch_timeout_s=0.01, status_path=status) as process:
        process.stdin.write(line(1) + b"nonsense\n")
        shown = until(
            lambda: status.exists() and (s := json.loads(status.read_bytes()))["total"]["stored"] and s, process
        )
        process.stdin.close()
        end(process)
    assert shown["pid"] == process.pid
    assert shown["kinds"]["syscall"]["stored"] == 1
    assert shown["reasons"] == {"not JSON": 1}
    assert shown["last_refusals"][0].startswith("unknown: not JSON")
    assert shown["db_bytes"] > 0
    assert not shown["done"]
    assert json.loads(status.read_bytes())["done"]


def test_a_store_that_is_locked_is_tried_again_and_nothing_is_lost(tmp_path):
    path = tmp_path / "t.db"
    with daemon(path, batch_size=10, batch_timeout_s=0.05) as process:
        process.stdin.write(line(0))
        until(lambda: rows_in(path) == 1, process)
        with closing(sqlite3.connect(path, isolation_level=None)) as other:
            other.execute("BEGIN IMMEDIATE")
            process.stdin.write(b"".join(map(line, range(1, 500))))
            told = b""
            while b"the store is tried again" not in told:
                told += os.read(process.stderr.fileno(), 65536)
            other.execute("ROLLBACK")
        until(lambda: rows_in(path) == 500, process)
        process.stdin.close()
        log = end(process)
    assert process.returncode == 0, log
    assert read(path).total == {"lines": 500, "stored": 500, "rejected": 0, "dropped": 0, "in_memory": 0}


def test_a_line_of_100_mb_is_read_past_in_bounded_memory(tmp_path):
    path = tmp_path / "t.db"
    with daemon(path) as process:
        process.stdin.write(line(1) + b'{"type":"')
        for _ in range(100):
            process.stdin.write(b"a" * 1_000_000)
        process.stdin.write(b'"}\n' + line(2))
        until(lambda: rows_in(path) == 2, process)
        peak_kb = int(re.search(r"VmHWM:\s+(\d+)", Path(f"/proc/{process.pid}/status").read_text())[1])
        process.stdin.close()
        log = end(process)
    result = read(path)
    assert result.total == {"lines": 3, "stored": 2, "rejected": 1, "dropped": 0, "in_memory": 0}, log
    assert [size for _, _, _, size in result.rejected] == [100_000_011]
    assert peak_kb < 80_000


def test_reading_stops_at_a_closed_log_no_more_than_at_bad_input(tmp_path):
    path = tmp_path / "t.db"
    with daemon(path, batch_timeout_s=0.01) as process:
        process.stderr.close()
        process.stdin.write(b"nonsense\n" * 100 + line(1))
        until(lambda: rows_in(path) == 1, process)
        process.stdin.close()
        assert process.wait(DEADLINE_S) == 0


COMMITTED = re.compile(rb"; (\d+) stored\n")


def killed_in_the_middle(path: Path, lines: bytes, after_commits: int) -> int:
    """Load lines, SIGKILL the daemon after some commits; the number of rows that it said were stored."""
    source = path.with_suffix(".ndjson")
    source.write_bytes(lines)
    told = b""
    with source.open("rb") as stdin, daemon(path, stdin=stdin, verbose=True) as process:
        while len(COMMITTED.findall(told)) < after_commits:
            more = os.read(process.stderr.fileno(), 65536)
            assert more, told.decode()
            told += more
        process.kill()
        told += process.stderr.read()
    return int(COMMITTED.findall(told)[-1])


@pytest.mark.parametrize("after_commits", [1, 4, 9])
def test_kill_9_keeps_every_committed_batch_and_loading_resumes(tmp_path, after_commits):
    path, count = tmp_path / "t.db", 300_000
    lines = b"".join(map(line, range(count)))
    said = 0
    for _ in range(3):
        before = rows_in(path)
        said = killed_in_the_middle(path, lines, after_commits)
        there = rows_in(path)
        assert before + said <= there < before + count
    result = read(path)  # which also checks the integrity of the file
    assert result.books["syscall"]["stored"] == result.rows.total()
    with path.with_suffix(".ndjson").open("rb") as stdin, daemon(path, stdin=stdin) as process:
        log = end(process)
    assert process.returncode == 0, log
    assert rows_in(path) == result.rows.total() + count


def books(path: Path) -> dict[str, int]:
    with daemon(path) as process:  # the next writer books what was noted
        process.stdin.close()
        end(process)
    return read(path).total


@contextmanager
def full_disk(process):
    """No file of the daemon can grow beyond 20 KB, as on a full disk."""
    before = resource.prlimit(process.pid, resource.RLIMIT_FSIZE, (20_000, -1))
    try:
        yield
    finally:
        if process.poll() is None:
            resource.prlimit(process.pid, resource.RLIMIT_FSIZE, before)


def told_until(process, word: bytes) -> bytes:
    told = b""
    while word not in told:
        more = os.read(process.stderr.fileno(), 65536)
        assert more, told.decode()
        told += more
    return told


SMALL = {"batch_size": 100, "batch_timeout_s": 0.05, "buffer_bytes": 50_000, "patience_s": 0.2}


def test_what_is_given_up_at_the_end_is_in_the_books_of_the_next_writer(tmp_path):
    path = tmp_path / "t.db"
    with daemon(path, **SMALL) as process:
        process.stdin.write(line(0))
        until(lambda: rows_in(path) == 1, process)
        with full_disk(process):
            process.stdin.write(b"".join(map(line, range(1, 3000))) + b"nonsense\n")
            process.stdin.close()
            log = end(process)
    assert process.returncode == 1, log
    assert "dropped" in log
    kept = read(path).rows.total()
    for _ in range(2):  # booked once
        total = books(path)
        assert total["lines"] == 3001
        assert total["rejected"] == 1
        assert (total["stored"], total["dropped"]) == (kept, 3000 - kept)


def test_what_was_dropped_or_waited_is_in_the_books_after_kill_9(tmp_path):
    path = tmp_path / "t.db"
    with daemon(path, **SMALL) as process:
        process.stdin.write(line(0))
        until(lambda: rows_in(path) == 1, process)
        with full_disk(process):
            process.stdin.write(b"".join(map(line, range(1, 900))))
            told = told_until(process, b"oldest events that waited")
            process.kill()
            process.wait()
    [dropped, *_] = [int(count.replace(b",", b"")) for count in re.findall(rb"dropped the ([\d,]+) oldest", told)]
    total = books(path)
    assert total["stored"] == read(path).rows.total()
    assert total["dropped"] >= dropped
    assert total["lines"] == total["stored"] + total["dropped"] <= 900
    assert books(path) == total


def test_what_was_dropped_is_booked_once_when_the_store_takes_writes_again(tmp_path):
    path = tmp_path / "t.db"
    with daemon(path, **SMALL) as process:
        process.stdin.write(line(0))
        until(lambda: rows_in(path) == 1, process)
        with full_disk(process):
            process.stdin.write(b"".join(map(line, range(1, 900))))
            told_until(process, b"oldest events that waited")
        process.stdin.write(line(900))
        process.stdin.close()
        log = end(process)
    assert process.returncode == 0, log
    total = read(path).total
    assert total["lines"] == total["stored"] + total["dropped"] == 901
    assert total["dropped"] > 0
    assert books(path) == total
    assert not path.with_name("t.db.losses").exists()
