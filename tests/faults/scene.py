"""Everything that changes a store, small enough that all of it happens in a second, and what must hold afterwards.

Rows are numbered from 0 on (``arg0``), each batch is reported once it is durable, and nothing ever leaves the store
but from one tier into the next. So at any moment the numbers in SQLite and in the archived twins together are all
from 0 to some number, each once, and none that was reported is missing.
"""

from __future__ import annotations

import os
import signal
import struct
import sys
import time
import traceback
from collections.abc import Callable, Collection
from contextlib import closing, suppress
from pathlib import Path

import apsw
import pyarrow.parquet as pq

from kernelsight.errors import StoreBusyError, StoreError
from kernelsight.events.syscalls import Syscall
from kernelsight.stores.base import Account, Batch, store
from kernelsight.stores.limits import EVERY
from kernelsight.stores.sqlite import tiers
from kernelsight.stores.sqlite.backup import MANIFEST, load_manifest, sha256_of
from kernelsight.stores.sqlite.retention import Retention
from kernelsight.stores.sqlite.twins.books import load_files, load_twins
from kernelsight.stores.sqlite.twins.work import make_twins
from kernelsight.stores.sqlite.writer import SqliteWriter

TABLE = "syscall_events"
BATCH = 40
SEGMENT_ROWS = 200
COMMAND = Callable[[Path, int, Callable[[int], None]], None]


# --- what is done, each in a process of its own ---------------------------------------------------


def daemon(path: Path, first: int, report: Callable[[int], None]) -> None:
    """Store, seal, summarise, archive and drop, give space back."""
    _hasten()
    with closing(SqliteWriter(path, segment_rows=SEGMENT_ROWS)) as writer:
        before = sum(account.stored for account in writer.accounts().values())
        assert before >= first, (before, first)
        writer.set_limits({(EVERY, "keep_sql"): 1, (EVERY, "keep"): None, (EVERY, "max_disk"): None})
        number = first = before
        while True:
            events = [row(number + n) for n in range(BATCH)]
            account = Account(number + BATCH - first, number + BATCH - first)
            try:
                writer.write(Batch({Syscall: events}, [], {"syscall": account}))
            except StoreError:
                time.sleep(0.01)
                continue
            number += BATCH
            report(number)
            with suppress(StoreError):
                writer.maintain(budget_s=0.02)


def row(number: int) -> tuple[object, ...]:
    """One system call that tells its number."""
    call = Syscall(timestamp=time.time_ns(), pid=number % 7, arg0=number, latency_ns=10**7 + number, comm="own")
    return tuple(getattr(call, name) for name in Syscall.__struct_fields__)


def _hasten() -> None:
    tiers._LOOK_S = 0.0
    Retention.drop_removed.__kwdefaults__["grace_s"] = 0.05


def twins(path: Path, first: int, report: Callable[[int], None]) -> None:
    """Make twins of what is sealed."""
    del first
    while True:
        with suppress(StoreBusyError):
            make_twins(path)
        report(0)
        time.sleep(0.005)


def backup(path: Path, first: int, report: Callable[[int], None]) -> None:
    """Back up into the same folder again and again."""
    del first
    while True:
        for _ in store(str(path)).back_up(folder_of(path)):
            pass
        report(0)


def open_and_close(path: Path, first: int, report: Callable[[int], None]) -> None:
    """Open a database, which brings one of an older version up to date."""
    del first
    SqliteWriter(path, segment_rows=SEGMENT_ROWS).close()
    report(0)


def repair(path: Path, first: int, report: Callable[[int], None]) -> None:
    """Repair what is whole or damaged."""
    del first
    for _ in store(str(path)).repair():
        pass
    report(0)


COMMANDS: dict[str, COMMAND] = {
    "daemon": daemon,
    "twins": twins,
    "backup": backup,
    "open": open_and_close,
    "repair": repair,
}


def folder_of(path: Path) -> Path:
    """Where its backup is."""
    return path.with_name(f"{path.name}.backup")


# --- processes ------------------------------------------------------------------------------------


ENDINGS = frozenset((0, -signal.SIGKILL))
"""Exit statuses of a process that did what it was to do, or was killed."""


class Running:
    """A command in a forked process, which reports by a pipe."""

    def __init__(self, name: str, path: Path, first: int = 0, prepare: Callable[[], object] = lambda: None) -> None:
        self.name = name
        self._read_end, write_end = os.pipe()
        self.pid = os.fork()
        if not self.pid:
            os.close(self._read_end)
            _become(COMMANDS[name], path, first, prepare, write_end)
        os.close(write_end)
        os.set_blocking(self._read_end, False)
        self.reported = first
        self.reports = 0
        self.status: int | None = None

    def look(self) -> None:
        """Take what it has reported."""
        with suppress(BlockingIOError):
            while data := os.read(self._read_end, 8 * 1024):
                numbers = struct.unpack(f"<{len(data) // 8}q", data)
                self.reports += len(numbers)
                self.reported = max(self.reported, *numbers)

    def wait_for(self, reports: int, patience_s: float = 60.0) -> None:
        """Until it has reported so often, or has ended."""
        deadline = time.monotonic() + patience_s
        while self.reports < reports and not self.has_ended():
            assert time.monotonic() < deadline, f"{self.name} does nothing"
            time.sleep(0.002)
            self.look()

    def has_ended(self) -> bool:
        """Whether it has."""
        if self.status is None:
            pid, status = os.waitpid(self.pid, os.WNOHANG)
            if pid:
                self.status = os.waitstatus_to_exitcode(status)
        return self.status is not None

    def kill(self, statuses: Collection[int] = ENDINGS) -> int:
        """End it by SIGKILL, if it has not ended; its exit status, which is one of these."""
        if not self.has_ended():
            os.kill(self.pid, signal.SIGKILL)
        return self.join(statuses=statuses)

    def join(self, patience_s: float = 60.0, statuses: Collection[int] = ENDINGS) -> int:
        """Wait for its end, with one of these exit statuses."""
        deadline = time.monotonic() + patience_s
        while not self.has_ended():
            assert time.monotonic() < deadline, f"{self.name} does not end"
            time.sleep(0.002)
        if self._read_end >= 0:
            self.look()
            os.close(self._read_end)
            self._read_end = -1
        assert self.status in statuses, f"{self.name} ended with {self.status}"
        assert self.status is not None
        return self.status


def _become(command: COMMAND, path: Path, first: int, prepare: Callable[[], object], write_end: int) -> None:
    """Be the command from now on; never returns."""
    code = 1
    try:
        keep = prepare()
        command(path, first, lambda number: os.write(write_end, struct.pack("<q", number)))
        del keep
        code = 0
    except BaseException:  # noqa: BLE001 - what a fork of a test must not do is go on with the test
        traceback.print_exc()
        sys.stderr.flush()
    finally:
        os._exit(code)


def in_a_fork(check: Callable[[], int]) -> int:
    """What a check gives that may open the database: this process never has it open, as it forks."""
    read_end, write_end = os.pipe()
    pid = os.fork()
    if not pid:
        code = 1
        try:
            os.write(write_end, struct.pack("<q", check()))
            code = 0
        except BaseException:  # noqa: BLE001
            traceback.print_exc()
            sys.stderr.flush()
        finally:
            os._exit(code)
    os.close(write_end)
    with os.fdopen(read_end, "rb") as result:
        data = result.read()
    assert os.waitpid(pid, 0)[1] == 0, "the check failed; see above"
    return int(struct.unpack("<q", data)[0])


# --- what must hold -------------------------------------------------------------------------------


def check(path: Path, reported: int, *, may_lose: bool = False) -> int:
    """Open the store as the next daemon does, and see that it is whole; how many rows it has.

    Args:
        path: the database.
        reported: rows that were reported durable.
        may_lose: the power went: the last commits may be missing.
    """
    SqliteWriter(path, segment_rows=SEGMENT_ROWS).close()
    with closing(apsw.Connection(str(path))) as connection:
        assert connection.execute("PRAGMA integrity_check").fetchall() == [("ok",)]
        in_sql = _numbers(connection)
        archived = _agree(path, connection)
        numbers = sorted([*in_sql, *archived])
        assert numbers == [*range(len(numbers))], "rows are missing, or there twice"
        assert may_lose or len(numbers) >= reported, f"{reported} rows were reported, {len(numbers)} are there"
        _require_books(connection, len(numbers))
    _require_backup(path)
    return len(numbers)


def _numbers(connection: apsw.Connection) -> list[int]:
    return [int(str(number)) for (number,) in connection.execute(f"SELECT arg0 FROM {TABLE}")]


def _agree(path: Path, connection: apsw.Connection) -> list[int]:
    """Twins are whole and say what their segments say; the numbers of those whose rows are gone."""
    files = load_files(connection)
    columns = {}
    for (table, name), file in files.items():
        place = path.with_name(f"{path.name}.twins") / table / name
        if file.retired_ns is not None:
            continue
        assert sha256_of(place) == file.sha256, name
        read = pq.read_table(place, columns=["id", "arg0"])
        columns[name] = dict(zip(read["id"].to_pylist(), read["arg0"].to_pylist(), strict=True))
    segments = {
        int(str(number))
        for (number,) in connection.execute("SELECT number FROM segments WHERE table_name = ?", (TABLE,))
    }
    archived = []
    for twin in load_twins(connection, TABLE):
        rows = {key: value for key, value in columns[twin.file].items() if twin.first_id <= key <= twin.last_id}
        assert len(rows) == twin.rows
        if twin.number in segments:
            stored = dict(connection.execute(f'SELECT id, arg0 FROM "{TABLE}__{twin.number}"').fetchall())
            assert stored == rows, f"segment {twin.number} and its twin differ"
        else:
            archived += rows.values()
    return archived


def _require_books(connection: apsw.Connection, rows: int) -> None:
    [books] = connection.execute(
        "SELECT lines, stored, rejected, dropped, in_memory FROM collectors WHERE kind = 'syscall'"
    ).fetchall() or [(0, 0, 0, 0, 0)]
    lines, stored, rejected, dropped, in_memory = map(int, map(str, books))
    assert lines == stored + rejected + dropped + in_memory, books
    assert stored == rows, f"{stored} rows are in the books, {rows} are there"
    [(booked, there)] = connection.execute(
        f"SELECT (SELECT coalesce(sum(rows), 0) FROM segments WHERE table_name = '{TABLE}'),"
        f" (SELECT count(*) FROM {TABLE})"
    ).fetchall()
    assert booked == there


def _require_backup(path: Path) -> None:
    folder = folder_of(path)
    if not (folder / MANIFEST).exists():
        return
    manifest = load_manifest(folder)
    for file in (manifest.database, *manifest.twins):
        assert sha256_of(folder / file.path) == file.sha256, file.path
