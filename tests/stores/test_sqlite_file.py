"""The file: who may write it, which versions open it, and what survives a kill."""

from __future__ import annotations

import os
import shutil
import signal
import sqlite3
import subprocess
import sys
import tempfile
from contextlib import closing
from dataclasses import replace
from pathlib import Path
from types import MappingProxyType

import apsw
import msgspec
import pytest
from contract import read
from rows import BASE, row, rows, struct

from kernelsight.errors import StoreBusyError, StoreError, StoreVersionError
from kernelsight.events.wire import kinds, tables
from kernelsight.stores.base import Batch, open_deriver, open_reader, open_writer
from kernelsight.stores.sqlite import checkpoint
from kernelsight.stores.sqlite.migrations import MIGRATIONS, Migration, verdicts_of_diagnoses
from kernelsight.stores.sqlite.writer import SqliteWriter

TABLE = "syscall_events"


@pytest.fixture
def path(tmp_path):
    return tmp_path / "telemetry.db"


def test_the_settings_are_the_documented_ones(path):
    writer = SqliteWriter(path)
    asked = {
        name: writer._connection.execute(f"PRAGMA {name}").fetchone()[0]
        for name in ("journal_mode", "synchronous", "cache_size")
    }
    writer.close()
    assert asked == {"journal_mode": "wal", "synchronous": 1, "cache_size": -64000}


def test_a_second_writer_is_told_the_pid_of_the_first_and_takes_over_when_it_is_killed(path):
    program = (
        "import sys; from kernelsight.stores.base import open_writer;"
        "writer = open_writer(sys.argv[1]); print('open', flush=True); sys.stdin.read()"
    )
    holder = subprocess.Popen([sys.executable, "-c", program, str(path)], stdin=subprocess.PIPE, stdout=subprocess.PIPE)
    with holder:
        assert holder.stdout.readline() == b"open\n"
        with pytest.raises(StoreBusyError, match=f"process {holder.pid} "):
            open_writer(str(path))
        link = path.with_name("link.db")
        link.symlink_to(path)
        with pytest.raises(StoreBusyError):
            open_writer(str(link))
        holder.send_signal(signal.SIGKILL)
    open_writer(str(path)).close()


def test_every_batch_that_was_reported_survives_a_kill(path):
    program = """
import sys
sys.path.insert(0, sys.argv[2])
from rows import rows, struct
from kernelsight.stores.base import Batch
from kernelsight.stores.sqlite.writer import SqliteWriter
from pathlib import Path
writer = SqliteWriter(Path(sys.argv[1]), segment_rows=200)
for number in range(100_000):
    writer.write(Batch({struct("syscall_events"): rows("syscall_events", 20, start=20 * number)}))
    print(20 * number + 20, flush=True)
"""
    here = os.path.dirname(__file__)  # noqa: PTH120 - for an argument list
    reported = 0
    for run in range(3):
        arguments = [sys.executable, "-c", program, str(path), here]
        with subprocess.Popen(arguments, stdout=subprocess.PIPE) as child:
            for _ in range(40 + 7 * run):
                last = child.stdout.readline()
            child.kill()
            last = (child.stdout.read().splitlines() or [last])[-1]
        reported += int(last)
        reader = open_reader(str(path))
        assert reader.query("PRAGMA integrity_check") == [{"integrity_check": "ok"}]
        assert reported <= reader.count(TABLE) <= reported + 20
        reported = reader.count(TABLE)
        assert reader.query(f"SELECT count(*) AS n FROM {TABLE}") == [{"n": reported}]
        reader.close()


@pytest.mark.parametrize("last", ["reader", "deriver"])
def test_a_copy_of_the_file_alone_has_all_rows_once_the_writer_has_ended(path, last):
    writer = SqliteWriter(path)
    assert not writer.write(Batch({struct(TABLE): rows(TABLE, 500)}))
    with closing(open_reader(str(path)) if last == "reader" else open_deriver(str(path))):  # ends after the writer
        writer.close()
        shutil.copy(path, path.with_name("copy.db"))
        log = path.with_name(f"{path.name}-wal")
        assert not log.exists() or log.stat().st_size == 0
    with closing(open_reader(str(path.with_name("copy.db")))) as copy:
        assert copy.count(TABLE) == 500
        assert len(read(copy, TABLE)) == 500


def test_an_older_database_is_migrated_and_a_newer_one_refused(path):
    writer = SqliteWriter(path)
    writer.write(Batch({struct(TABLE): rows(TABLE, 3)}))
    writer.close()

    def add_table(connection):
        connection.execute("CREATE TABLE added_later (x)")

    newer = [*MIGRATIONS, Migration(len(MIGRATIONS) + 1, "add_table", add_table)]
    SqliteWriter(path, migrations=newer).close()
    SqliteWriter(path, migrations=newer).close()  # once is enough
    with closing(sqlite3.connect(path)) as stock:
        steps = stock.execute("SELECT version, name FROM schema_version ORDER BY version").fetchall()
        assert steps == [(step.version, step.name) for step in newer]
        assert stock.execute("SELECT count(*) FROM added_later").fetchone() == (0,)
        assert stock.execute(f"SELECT count(*) FROM {TABLE}").fetchone() == (3,)
    for opening in (open_writer, open_reader):
        with pytest.raises(StoreVersionError, match=f"version {len(newer)}.*up to {len(MIGRATIONS)}"):
            opening(str(path))
    SqliteWriter(path, migrations=newer).close()  # the refused writer gave the lock back


def test_reading_migrates_an_older_database(path):
    SqliteWriter(path).close()
    MIGRATIONS.append(
        Migration(len(MIGRATIONS) + 1, "add", lambda connection: connection.execute("CREATE TABLE t (x)"))
    )
    try:
        with closing(open_reader(str(path))) as reader:
            assert reader.count("t") == 0
            assert reader.version == len(MIGRATIONS)
    finally:
        MIGRATIONS.pop()


def test_a_migration_that_fails_leaves_the_database_as_it_was(path):
    SqliteWriter(path).close()

    def fail(connection):
        connection.execute("CREATE TABLE half_done (x)")
        connection.execute("SELECT nonsense")

    with pytest.raises(StoreError):
        SqliteWriter(path, migrations=[*MIGRATIONS, Migration(len(MIGRATIONS) + 1, "fail", fail)])
    with closing(sqlite3.connect(path)) as stock:
        assert not stock.execute("SELECT 1 FROM sqlite_master WHERE name = 'half_done'").fetchall()
    SqliteWriter(path).close()


def older_declarations():
    """The kinds as a version had them that knew no `blocked_ns`, no `cgroup_id` in the middle, and no `memory`."""
    known = tables()[TABLE]
    columns = tuple(column for column in known.columns if column.name not in {"blocked_ns", "cpu"})
    fields = [("timestamp", int), *((column.name, object, None) for column in columns[1:])]
    old_struct = msgspec.defstruct("Syscall", fields, tag="syscall")
    old = replace(
        known,
        struct=old_struct,
        columns=columns,
        indexes=known.indexes[:1],
        by_name=MappingProxyType({column.name: column for column in columns}),
    )
    return {name: kind for name, kind in kinds().items() if name != "memory"} | {"syscall": old}


def test_new_columns_indexes_and_kinds_appear_in_an_existing_database(path):
    declared = older_declarations()
    old = declared["syscall"]
    writer = SqliteWriter(path, kinds=declared, segment_rows=10)
    positions = [tables()[TABLE].column_names.index(name) for name in old.column_names]
    for start in (0, 10, 20):
        given = [tuple(line[position] for position in positions) for line in rows(TABLE, 10, start)]
        assert not writer.write(Batch({old.struct: given[:8]}))
    while writer.unsealed():
        writer.maintain(budget_s=1)
    writer.close()

    with closing(open_reader(str(path))) as early:  # before any writer of this version
        found = read(early, TABLE, columns=["timestamp", "cpu", "pid"])
        assert [line["cpu"] for line in found] == [None] * 24
        assert found[5]["pid"] == 35

    writer = SqliteWriter(path, segment_rows=10)
    assert writer.unsealed()  # the indexes that are new
    new = row(TABLE, 100)
    assert not writer.write(Batch({struct(TABLE): [new], struct("memory_metrics"): rows("memory_metrics", 2)}))
    while writer.unsealed():
        writer.maintain(budget_s=1)
    with closing(open_reader(str(path))) as reader:
        found = read(reader, TABLE)
        assert tuple(found[0]) == ("id", *tables()[TABLE].column_names)
        assert len(found) == 25
        assert tuple(found[-1].values())[1:] == new
        assert reader.count("memory_metrics") == 2
        assert list(reader.query(f"SELECT * FROM {TABLE} LIMIT 1")[0]) == list(found[0])
    writer.close()


def test_opening_again_changes_nothing(path):
    SqliteWriter(path).close()
    with closing(sqlite3.connect(path)) as stock:
        before = stock.execute("PRAGMA schema_version").fetchone()
    SqliteWriter(path).close()
    with closing(sqlite3.connect(path)) as stock:
        assert stock.execute("PRAGMA schema_version").fetchone() == before


@pytest.mark.parametrize("content", [b"", b"this is not a database, but it is long enough to look like one" * 100])
def test_a_file_that_is_not_ours_is_refused(path, content):
    path.write_bytes(content)
    with pytest.raises(StoreError, match=str(path)):
        open_reader(str(path))
    assert path.read_bytes() == content


def test_a_database_that_is_not_ours_is_refused_for_reading(path):
    with closing(sqlite3.connect(path)) as stock:
        stock.execute("CREATE TABLE x (y)")
    with pytest.raises(StoreError, match="not a KernelSight database"):
        open_reader(str(path))


@pytest.mark.parametrize("theirs", ["", ", theirs TEXT"])
def test_a_database_with_plain_tables_of_the_documented_schema_is_taken_over(path, theirs):
    with closing(sqlite3.connect(path)) as stock:
        stock.executescript(f"""
            CREATE TABLE schema_version (version INTEGER PRIMARY KEY, description TEXT);
            INSERT INTO schema_version VALUES (1, 'theirs');
            CREATE TABLE syscall_events (
                id INTEGER PRIMARY KEY AUTOINCREMENT, timestamp INTEGER NOT NULL, pid INTEGER, comm TEXT{theirs});
            CREATE INDEX idx_syscall_timestamp ON syscall_events (timestamp);
            CREATE VIEW v_recent_slow_syscalls AS SELECT * FROM syscall_events;
            CREATE VIEW v_theirs AS SELECT pid FROM syscall_events WHERE comm = 'b';
        """)
        stock.executemany(
            "INSERT INTO syscall_events (timestamp, pid, comm) VALUES (?, ?, ?)", [(BASE + 5, 1, "a"), (BASE, 2, "b")]
        )
        stock.commit()
    writer = SqliteWriter(path)
    assert not writer.write(Batch({struct(TABLE): rows(TABLE, 1, start=60)}))
    writer.close()
    SqliteWriter(path).close()
    with closing(open_reader(str(path))) as reader:
        found = read(reader, TABLE, columns=["id", "timestamp", "pid", "comm"])
        assert [tuple(line.values()) for line in found[:2]] == [(BASE, BASE, 2, "b"), (BASE + 5, BASE + 5, 1, "a")]
        assert (reader.count(TABLE), reader.bounds(TABLE)) == (3, (BASE, rows(TABLE, 1, start=60)[0][0]))
        assert reader.query("SELECT pid FROM v_theirs") == [{"pid": 2}]
        assert reader.query("SELECT count(latency_ms) AS n FROM v_recent_slow_syscalls") == [{"n": 0}]  # ours now
        kept = reader.query("SELECT 1 FROM sqlite_master WHERE name = 'syscall_events_before'")
        assert bool(kept) == bool(theirs)


def test_a_table_that_is_no_table_of_events_is_not_touched(path):
    with closing(sqlite3.connect(path)) as stock:
        stock.execute("CREATE TABLE syscall_events (x)")
    with pytest.raises(StoreError, match=r"telemetry\.db: there is a table syscall_events without a timestamp"):
        open_writer(str(path))
    with closing(sqlite3.connect(path)) as stock:
        assert stock.execute("SELECT name FROM sqlite_master").fetchall() == [("syscall_events",)]


@pytest.mark.parametrize("url", ["", ":memory:"])
def test_a_store_must_be_a_file(url):
    with pytest.raises(StoreError, match="name a file"):
        open_writer(url)


def test_another_programs_lock_fails_the_batch_and_nothing_of_it_is_stored(path, monkeypatch):
    monkeypatch.setattr("kernelsight.stores.sqlite.connect.BUSY_TIMEOUT_MS", 10)
    writer = SqliteWriter(path)
    batch = Batch({struct(TABLE): rows(TABLE, 3)})
    with closing(apsw.Connection(str(path))) as other:
        other.execute("BEGIN IMMEDIATE")
        with pytest.raises(StoreError, match="locked"):
            writer.write(batch)
        other.execute("COMMIT")
    assert not writer.write(batch)
    reader = open_reader(str(path))
    assert reader.count(TABLE) == 3
    assert reader.bounds(TABLE) == (BASE, rows(TABLE, 3)[-1][0])
    reader.close()
    writer.close()


def test_a_reader_reads_no_other_file(path):
    SqliteWriter(path).close()
    with closing(open_reader(str(path))) as reader, pytest.raises(StoreError, match="attach"):
        reader.query("ATTACH ? AS other", (str(path.with_name("other.db")),))
    assert not path.with_name("other.db").exists()


def test_a_user_who_may_only_read_can_read_when_nobody_writes():
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "telemetry.db"
        with closing(SqliteWriter(path, mode=0o644)) as writer:
            writer.write(Batch({struct(TABLE): rows(TABLE, 3)}))
        os.chmod(folder, 0o555)  # noqa: PTH101
        child = os.fork()
        if child == 0:
            try:
                if os.geteuid() == 0:
                    os.setgroups([])
                    os.setgid(65534)
                    os.setuid(65534)
                with closing(open_reader(str(path))) as reader:
                    os._exit(reader.count(TABLE))
            finally:
                os._exit(99)
        _, status = os.waitpid(child, 0)
        os.chmod(folder, 0o755)  # noqa: PTH101
        assert os.waitstatus_to_exitcode(status) == 3


def test_a_stock_client_in_another_process_may_write_meanwhile(path):
    program = """
import sqlite3, sys
connection = sqlite3.connect(sys.argv[1], timeout=60, isolation_level=None)
for number in range(300):
    connection.execute("INSERT INTO syscall_events (timestamp, pid) VALUES (?, -1)", (int(sys.argv[2]) + number,))
    if number % 3 == 0:
        connection.execute("DELETE FROM syscall_events WHERE pid = -1 AND timestamp = ?", (int(sys.argv[2]) + number,))
"""
    with closing(SqliteWriter(path, segment_rows=2000)) as writer:
        with subprocess.Popen([sys.executable, "-c", program, str(path), str(BASE)]) as client:
            batches = 0
            while client.poll() is None or batches < 10:
                assert not writer.write(Batch({struct(TABLE): rows(TABLE, 50, start=50 * batches)}))
                batches += 1
                writer.maintain(budget_s=0.01)
        assert client.returncode == 0
        with closing(open_reader(str(path))) as reader:
            found = reader.query(
                f"SELECT pid = -1 AS theirs, count(*) AS n, count(DISTINCT id) AS ids FROM {TABLE} GROUP BY 1"
            )
            assert [(line["theirs"], line["n"], line["ids"]) for line in found] == [
                (0, 50 * batches, 50 * batches),
                (1, 200, 200),
            ]
            assert reader.count(TABLE) == 50 * batches + 200
            assert reader.query("PRAGMA integrity_check") == [{"integrity_check": "ok"}]


def test_a_reader_that_keeps_the_log_long_is_named(path, monkeypatch):
    monkeypatch.setattr(checkpoint, "LONGEST_PAGES", 20)
    program = (
        "import sqlite3, sys; connection = sqlite3.connect(sys.argv[1]); connection.execute('BEGIN');"
        "connection.execute('SELECT count(*) FROM syscall_events').fetchall(); print('reads', flush=True);"
        "sys.stdin.read()"
    )
    with closing(SqliteWriter(path)) as writer:
        writer.write(Batch({struct(TABLE): rows(TABLE, 100)}))
        reader = subprocess.Popen(
            [sys.executable, "-c", program, str(path)], stdin=subprocess.PIPE, stdout=subprocess.PIPE
        )
        with reader:
            assert reader.stdout.readline() == b"reads\n"
            for _ in range(30):
                writer.write(Batch({struct(TABLE): rows(TABLE, 500)}))
            [warning] = writer.maintain(budget_s=0.1)
            assert f"process {reader.pid} (" in warning
            reader.stdin.close()
        writer.write(Batch({struct(TABLE): rows(TABLE, 10)}))
        writer.write(Batch({struct(TABLE): rows(TABLE, 10)}))
        assert writer.maintain(budget_s=0.1) == []


def test_diagnoses_of_a_time_with_two_answers_keep_the_one_that_they_gave():
    with closing(apsw.Connection(":memory:")) as older:
        older.execute("CREATE TABLE segments (table_name, number)")
        older.execute("INSERT INTO segments VALUES ('diagnoses', 1), ('diagnoses', 2)")
        for number in (1, 2):
            older.execute(f"CREATE TABLE diagnoses__{number} (healthy)")
            older.execute(f"INSERT INTO diagnoses__{number} VALUES (1), (0), (NULL)")
        for _ in range(2):
            verdicts_of_diagnoses(older)
        stored = older.execute("SELECT verdict FROM diagnoses__2").fetchall()
    assert stored == [("healthy",), ("findings",), (None,)]
