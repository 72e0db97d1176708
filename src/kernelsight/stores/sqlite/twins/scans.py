"""A reader that reads by column: twins through DuckDB, and the rows that are in none copied from SQLite.

DuckDB runs in this process with a bounded memory, and reaches no file but the twins: its own access to files, its
extensions and its settings are shut once it knows their folder.
"""

from __future__ import annotations

import os
import shutil
import tempfile
import threading
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import contextmanager, suppress
from itertools import islice, starmap
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar

import duckdb

from kernelsight.errors import ScanError, StoreError
from kernelsight.events.declare import Kind, StorageType
from kernelsight.events.wire import tables
from kernelsight.stores.base import Book, Refusal, Row, Value, Volume
from kernelsight.stores.damage import Damage
from kernelsight.stores.dialect import Dialect
from kernelsight.stores.sqlite.ddl import quote, quoted
from kernelsight.stores.sqlite.twins.coverage import Coverage, Usable
from kernelsight.stores.sqlite.twins.dialect import DuckDbDialect
from kernelsight.stores.sqlite.twins.folder import folder_of
from kernelsight.time_limit import Work, current_work
from kernelsight.trusted_paths import as_user

if TYPE_CHECKING:
    from kernelsight.stores.sqlite.reader import SqliteReader

T = TypeVar("T")

MEMORY = "200MB"
"""For DuckDB's own; the process has about 100 MB beside."""
SPILL = "2GB"
"""On disk, for what does not fit."""
THREADS = min(4, os.cpu_count() or 1)
_COPY = 20_000
"""Rows that are copied from SQLite at a time."""
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
        self._spill = Path(tempfile.gettempdir()) / f"kernelsight-{os.getpid()}-{os.urandom(6).hex()}"
        self.connection = duckdb.connect(
            ":memory:",
            config={
                "threads": THREADS,
                "memory_limit": MEMORY,
                "temp_directory": str(self._spill),
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
    def running(self) -> Iterator[duckdb.DuckDBPyConnection]:
        """Around every statement: as the owner of the files, ended when the time for this work is over.

        Raises:
            ScanError: DuckDB cannot do it, for want of memory, because a sum overflows, or a file is damaged.
            OverTimeError: the time for the work of this thread is over.
        """
        work = current_work()
        if work is not None:
            work.require_time()
        try:
            with as_user(*self._user), _ended_in_time(self.connection, work):
                yield self.connection
        except duckdb.InterruptException as error:
            raise (work.error() if work else ScanError("the scan was interrupted")) from error
        except duckdb.Error as error:
            raise ScanError(" ".join(str(error).split())[:300]) from error

    def close(self) -> None:
        """Give everything back."""
        self.connection.close()
        with suppress(OSError):
            os.close(self._folder)
        shutil.rmtree(self._spill, ignore_errors=True)


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


class ColumnReader:
    """See :class:`kernelsight.stores.base.Reader`: the same rows as another reader gives, for one question.

    Rows that are in no twin are copied when a relation asks for them, so close it after the question.
    """

    dialect: Dialect = DuckDbDialect()

    def __init__(self, rows: SqliteReader, engine: Engine) -> None:
        self._rows = rows
        self._engine = engine
        self._copies: dict[tuple[object, ...], str] = {}

    def query(self, sql: str, params: Sequence[Value] = ()) -> list[dict[str, Value]]:
        """See :class:`kernelsight.stores.base.Reader`."""
        names: list[str] = []
        return [dict(zip(names, row, strict=True)) for row in self._run(sql, params, names)]

    def tuples(self, sql: str, params: Sequence[Value] = ()) -> Iterator[Row]:
        """See :class:`kernelsight.stores.base.Reader`."""
        yield from self._run(sql, params, [])

    def objects(self, make: Callable[..., T], sql: str, params: Sequence[Value] = ()) -> list[T]:
        """See :class:`kernelsight.stores.base.Reader`."""
        return list(starmap(make, self._run(sql, params, [])))

    def _run(self, sql: str, params: Sequence[Value], names: list[str]) -> Iterator[Any]:
        with self._engine.running() as connection:
            cursor = connection.execute(sql, list(params))
            names += [column[0] for column in cursor.description]
            rows = cursor.fetchmany(_ROWS)
        while rows:
            yield from rows
            with self._engine.running():
                rows = cursor.fetchmany(_ROWS)

    def relation(
        self,
        table: str,
        start_ns: int | None = None,
        end_ns: int | None = None,
        columns: Iterable[str] | None = None,
    ) -> tuple[str, tuple[Value, ...]]:
        """See :class:`kernelsight.stores.base.Reader`."""
        kind = tables().get(table)
        if kind is None:
            raise ScanError(f"{table} has no twins")
        names = self._names(kind, columns)
        with self._rows.one_state():
            covered = self._rows.coverage(table, start_ns, end_ns)
            copy = self._copy(kind, covered, (start_ns, end_ns), names)
        arms = [self._of_files(kind, group, (start_ns, end_ns), names) for group in _alike(covered.files)]
        if copy is not None:
            arms.append(f"SELECT {quoted(names)} FROM {copy}")
        if covered.lost:
            raise ScanError(f"{kind.table}: {len(covered.lost)} twins are not as they were made")
        return f"({' UNION ALL '.join(arms) or _nothing(kind, names)})", ()

    def _names(self, kind: Kind, columns: Iterable[str] | None) -> list[str]:
        known = ("id", *kind.column_names)
        names = list(known if columns is None else columns)
        if unknown := [name for name in names if name not in known]:
            raise StoreError(f"{kind.table} has no column {unknown[0]!r}; it has {', '.join(known)}")
        return names

    def _of_files(
        self, kind: Kind, files: Sequence[Usable], span: tuple[int | None, int | None], names: Sequence[str]
    ) -> str:
        stored = files[0].file.columns.split(",")
        selected = ", ".join(
            quote(name) if name in stored else f"CAST(NULL AS {_type(kind, name)}) AS {quote(name)}" for name in names
        )
        paths = ", ".join(f"'{self._engine.root}{kind.table}/{usable.file.file}'" for usable in files)
        tests = _within(files, span)
        if not files[0].whole:
            ranges = (f"id BETWEEN {twin.first_id} AND {twin.last_id}" for usable in files for twin in usable.twins)
            tests.append(f"({' OR '.join(ranges)})")
        where = f" WHERE {' AND '.join(tests)}" if tests else ""
        return f"SELECT {selected} FROM read_parquet([{paths}]){where}"

    def _copy(
        self, kind: Kind, covered: Coverage, span: tuple[int | None, int | None], names: Sequence[str]
    ) -> str | None:
        """The rows that are in no twin, as a table of DuckDB."""
        if not covered.segments:
            return None
        key = (kind.table, span, tuple(names))
        if key not in self._copies:
            copy = f"copied_{len(self._copies) + 1}_{os.urandom(4).hex()}"
            relation, params = self._rows.relation_of(covered.segments, *span, names)
            rows = self._rows.tuples(f"SELECT {quoted(names)} FROM {relation}", params)
            definitions = ", ".join(f"{quote(name)} {_type(kind, name)}" for name in names)
            lists = ", ".join(f"unnest(?::{_type(kind, name)}[])" for name in names)
            with self._engine.running() as connection:
                connection.execute(f"CREATE TEMP TABLE {copy} ({definitions})")
            self._copies[key] = copy
            while some := list(islice(rows, _COPY)):
                values = [list(column) for column in zip(*some, strict=True)]
                with self._engine.running() as connection:
                    connection.execute(f"INSERT INTO {copy} SELECT {lists}", values)
        return self._copies[key]

    def volume(self, table: str, start_ns: int | None = None, end_ns: int | None = None) -> Volume:
        """See :class:`kernelsight.stores.base.Reader`."""
        return self._rows.volume(table, start_ns, end_ns)

    def holds(self, table: str) -> bool:
        """See :class:`kernelsight.stores.base.Reader`."""
        return self._rows.holds(table)

    def bounds(self, table: str) -> tuple[int, int] | None:
        """See :class:`kernelsight.stores.base.Reader`."""
        return self._rows.bounds(table)

    def count(self, table: str) -> int:
        """See :class:`kernelsight.stores.base.Reader`."""
        return self._rows.count(table)

    def books(self) -> Sequence[Book]:
        """See :class:`kernelsight.stores.base.Reader`."""
        return self._rows.books()

    def refusals(self, limit: int) -> Sequence[Refusal]:
        """See :class:`kernelsight.stores.base.Reader`."""
        return self._rows.refusals(limit)

    def damages(self, *, look_s: float = 0.0) -> Sequence[Damage]:
        """See :class:`kernelsight.stores.base.Reader`."""
        return self._rows.damages(look_s=look_s)

    def by_column(self) -> ColumnReader:
        """It does already."""
        return self

    def close(self) -> None:
        """Let go of the rows that were copied for the question."""
        with suppress(duckdb.Error):
            for copy in self._copies.values():
                self._engine.connection.execute(f"DROP TABLE IF EXISTS {copy}")
        self._copies.clear()


def _type(kind: Kind, name: str) -> str:
    return "BIGINT" if name == "id" else _TYPES[kind.by_name[name].type]


def _alike(files: Iterable[Usable]) -> list[list[Usable]]:
    """Files in groups with the same columns, of which all rows count, or not."""
    groups: dict[tuple[str, bool], list[Usable]] = {}
    for usable in files:
        groups.setdefault((usable.file.columns, usable.whole), []).append(usable)
    return list(groups.values())


def _within(files: Sequence[Usable], span: tuple[int | None, int | None]) -> list[str]:
    """Conditions on the stamp, where a file has rows outside of the range."""
    start_ns, end_ns = span
    twins = [twin for usable in files for twin in usable.twins]
    tests = []
    if start_ns is not None and min(twin.first_timestamp for twin in twins) < start_ns:
        tests.append(f"timestamp >= {start_ns}")
    if end_ns is not None and max(twin.last_timestamp for twin in twins) > end_ns:
        tests.append(f"timestamp <= {end_ns}")
    return tests


def _nothing(kind: Kind, names: Sequence[str]) -> str:
    columns = ", ".join(f"CAST(NULL AS {_type(kind, name)}) AS {quote(name)}" for name in names)
    return f"SELECT {columns} WHERE false"
