"""DuckDB over the files of twins, in this process, with a bounded memory.

It reaches no file but the twins: its own access to files, its extensions and its settings are shut once it knows their
folder.
"""

from __future__ import annotations

import os
import tempfile
import threading
from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager, suppress
from pathlib import Path

import duckdb

from kernelsight.errors import ScanError
from kernelsight.events.declare import Kind, StorageType
from kernelsight.stores.base import Row, Value
from kernelsight.stores.sqlite.ddl import quote, quoted
from kernelsight.stores.sqlite.twins.archive import Tests
from kernelsight.stores.sqlite.twins.covering import Span, Usable
from kernelsight.stores.sqlite.twins.folder import folder_of
from kernelsight.time_limit import Work, current_work
from kernelsight.trusted_paths import as_user

MEMORY = "200MB"
"""For DuckDB's own; the process has about 100 MB beside."""
SPILL = "2GB"
"""On disk, for what does not fit."""
THREADS = min(4, os.cpu_count() or 1)
_LOOK_S = 0.05
"""Between two looks at whether the time for the work is over."""
_ROWS = 50_000
"""That are taken from DuckDB at a time."""
_TYPES: dict[StorageType, str] = {"INTEGER": "BIGINT", "REAL": "DOUBLE", "TEXT": "VARCHAR", "BOOLEAN": "BIGINT"}


class Engine:
    """One DuckDB, for the twins of one database."""

    def __init__(self, database: Path, user: tuple[int, int]) -> None:
        """Open it.

        Args:
            database: whose twins; their folder must be there.
            user: as whom root reads them.

        Raises:
            ScanError: the folder cannot be opened.
        """
        self._user = user
        try:
            with as_user(*user):
                self._folder = os.open(folder_of(database), os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW | os.O_CLOEXEC)
        except OSError as error:
            raise ScanError(f"{folder_of(database)}: {error.strerror}") from error
        # By descriptor: the path has no characters that would be a pattern, and the folder may be renamed meanwhile.
        self.root = f"/proc/self/fd/{self._folder}/"
        self._spill = _spill(user)
        self.connection = duckdb.connect(
            ":memory:",
            config={
                "threads": THREADS,
                "memory_limit": MEMORY,
                "temp_directory": self._spill.name if self._spill else "",
                "max_temp_directory_size": SPILL,
                "default_null_order": "nulls_first_on_asc_last_on_desc",  # as SQLite
                "autoinstall_known_extensions": False,
                "autoload_known_extensions": False,
                "allow_community_extensions": False,
                "python_enable_replacements": False,
                "preserve_insertion_order": False,
            },
        )
        self.connection.execute(f"SET allowed_directories = ['{self.root}']")
        self.connection.execute("SET enable_progress_bar = false")
        self.connection.execute("SET enable_external_access = false")
        self.connection.execute("SET lock_configuration = true")

    @contextmanager
    def running(self, cursor: duckdb.DuckDBPyConnection | None = None) -> Iterator[duckdb.DuckDBPyConnection]:
        """Around every statement: as the owner of the files, ended when the time for this work is over.

        Args:
            cursor: one that goes on; else a new one, so that statements do not end each other.

        Raises:
            ScanError: DuckDB cannot do it, for want of memory, because a sum overflows, or a file is damaged.
            OverTimeError: the time for the work of this thread is over.
        """
        work = current_work()
        if work is not None:
            work.require_time()
        cursor = cursor or self.connection.cursor()
        try:
            with as_user(*self._user), _ended_in_time(cursor, work):
                yield cursor
        except duckdb.InterruptException as error:
            raise (work.error() if work else ScanError("the scan was interrupted")) from error
        except duckdb.Error as error:
            raise ScanError(" ".join(str(error).split())[:300]) from error

    def rows(self, sql: str, params: Sequence[Value] = ()) -> Iterator[Row]:
        """The rows that a statement gives; others may run meanwhile."""
        with self.running() as cursor:
            cursor.execute(sql, list(params))
        yield from self.rest(cursor)

    def rest(self, cursor: duckdb.DuckDBPyConnection) -> Iterator[Row]:
        """The rows that a cursor has not given yet."""
        some = [()]
        while some:
            with self.running(cursor):
                some = cursor.fetchmany(_ROWS)
            yield from some

    def files_sql(self, kind: Kind, files: Sequence[Usable], span: Span, names: Sequence[str]) -> str:
        """SELECT columns of the rows of some files that have the same columns, within a range."""
        stored = files[0].file.columns.split(",")
        selected = ", ".join(
            quote(name) if name in stored else f"CAST(NULL AS {column_type(kind, name)}) AS {quote(name)}"
            for name in names
        )
        paths = ", ".join(f"'{self.root}{kind.table}/{usable.file.file}'" for usable in files)
        tests = _within(files, span)
        if not files[0].whole:
            ranges = (f"id BETWEEN {twin.first_id} AND {twin.last_id}" for usable in files for twin in usable.twins)
            tests.append(f"({' OR '.join(ranges)})")
        where = f" WHERE {' AND '.join(tests)}" if tests else ""
        return f"SELECT {selected} FROM read_parquet([{paths}]){where}"

    def rows_of_files(self, kind: Kind, files: Iterable[Usable], columns: Sequence[str], tests: Tests) -> Iterator[Row]:
        """Columns of the rows of some files that meet some conditions, in order of arrival."""
        wanted = list(dict.fromkeys((*columns, *(column for column, _, _ in tests))))
        arms = [self.files_sql(kind, group, (None, None), wanted) for group in alike(files)]
        if not arms:
            return iter(())
        where = " AND ".join(f"{quote(column)} {operator} ?" for column, operator, _ in tests) or "true"
        sql = f"SELECT {quoted(columns)} FROM ({' UNION ALL '.join(arms)}) WHERE {where} ORDER BY id"
        return self.rows(sql, [value for _, _, value in tests])

    def close(self) -> None:
        """Give everything back."""
        self.connection.close()
        with suppress(OSError):
            os.close(self._folder)
        if self._spill is not None:
            with as_user(*self._user):
                self._spill.cleanup()


def _spill(user: tuple[int, int]) -> tempfile.TemporaryDirectory[str] | None:
    """Where rows go that do not fit into memory: for this user alone, where DuckDB would let others read them.

    None where no folder for temporary files can be written: then there is the memory alone.
    """
    try:
        with as_user(*user):
            return tempfile.TemporaryDirectory(prefix="kernelsight-", ignore_cleanup_errors=True)
    except OSError:
        return None


@contextmanager
def _ended_in_time(connection: duckdb.DuckDBPyConnection, work: Work | None) -> Iterator[None]:
    if work is None:
        yield
        return
    done = threading.Event()

    def watch() -> None:
        while not done.wait(_LOOK_S):
            if work.is_over:
                connection.interrupt()

    watcher = threading.Thread(target=watch, name="scan time limit", daemon=True)
    watcher.start()
    try:
        yield
    finally:
        done.set()
        watcher.join()


def column_type(kind: Kind, name: str) -> str:
    """The type in DuckDB of a column, or of the id."""
    return "BIGINT" if name == "id" else _TYPES[kind.by_name[name].type]


def alike(files: Iterable[Usable]) -> list[list[Usable]]:
    """Files in groups with the same columns, of which all rows count, or not."""
    groups: dict[tuple[str, bool], list[Usable]] = {}
    for usable in files:
        groups.setdefault((usable.file.columns, usable.whole), []).append(usable)
    return list(groups.values())


def _within(files: Sequence[Usable], span: Span) -> list[str]:
    """Conditions on the stamp, where a file has rows outside of the range."""
    start_ns, end_ns = span
    twins = [twin for usable in files for twin in usable.twins]
    tests = []
    if start_ns is not None and min(twin.first_timestamp for twin in twins) < start_ns:
        tests.append(f"timestamp >= {start_ns}")
    if end_ns is not None and max(twin.last_timestamp for twin in twins) > end_ns:
        tests.append(f"timestamp <= {end_ns}")
    return tests


def nothing(kind: Kind, names: Sequence[str]) -> str:
    """SELECT no rows, of some columns."""
    columns = ", ".join(f"CAST(NULL AS {column_type(kind, name)}) AS {quote(name)}" for name in names)
    return f"SELECT {columns} WHERE false"
