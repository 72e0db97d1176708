"""Make the database what the declarations say: new kinds get their tables, new columns are added, nothing is lost."""

from __future__ import annotations

import time
from collections.abc import Iterable, Mapping
from pathlib import Path

import apsw

from kernelsight.errors import StoreError
from kernelsight.events.declare import Kind
from kernelsight.stores.sqlite import ddl
from kernelsight.stores.sqlite import segments as books
from kernelsight.stores.sqlite.checks import all_acceptable
from kernelsight.stores.sqlite.migrations import Migration, migrate, table_names
from kernelsight.stores.sqlite.named_views import make_named_views
from kernelsight.stores.sqlite.segments import Segment
from kernelsight.stores.sqlite.views import public_view


def prepare(connection: apsw.Connection, path: Path, kinds: Mapping[str, Kind], migrations: list[Migration]) -> None:
    """Migrate the books, then bring every table of events to its declaration, in one transaction."""
    with connection:
        migrate(connection, path, migrations)
        stored = books.load(connection)
        tables = table_names(connection)
        for kind in kinds.values():
            whole = [segment for segment in stored.get(kind.table, []) if segment.damage is None]
            _follow(connection, path, kind, whole, tables)
        if {"syscall", "memory", "io_latency"} <= kinds.keys():
            make_named_views(connection)


def _follow(connection: apsw.Connection, path: Path, kind: Kind, segments: list[Segment], tables: set[str]) -> None:
    if kind.table in tables:
        _adopt(connection, path, kind, segments)
        return
    if not segments:
        segments = [add_segment(connection, kind, None)]
    for segment in segments:
        _add_columns(connection, kind, segment)
    rebuild_view(connection, kind, segments)


def add_segment(connection: apsw.Connection, kind: Kind, previous: Segment | None) -> Segment:
    """Make a new hot segment that continues the ids of the one before it."""
    segment = Segment(
        table_name=kind.table,
        number=previous.number + 1 if previous else 1,
        first_id=previous.next_id_floor if previous else 1,
        opened_ns=time.time_ns(),
    )
    connection.execute(ddl.create_segment(kind, segment.number))
    books.save(connection, [segment])
    return segment


def _adopt(connection: apsw.Connection, path: Path, kind: Kind, segments: list[Segment]) -> None:
    """Take over the rows of a plain table of this name, as other programs with the documented schema make it.

    It stays under the name ``<table>_before`` where it has columns, or rows with values, that cannot be taken over.

    Raises:
        StoreError: it has no timestamp.
    """
    stored = column_names(connection, kind.table)
    shared = [name for name in stored if name in kind.by_name]
    if "timestamp" not in shared:
        raise StoreError(f"{path}: there is a table {kind.table} without a timestamp; rename it")
    before = f"{kind.table}_before"
    connection.execute("PRAGMA legacy_alter_table = 1")  # views over the public name go on meaning it
    connection.execute(f"ALTER TABLE {ddl.quote(kind.table)} RENAME TO {ddl.quote(before)}")
    _follow(connection, path, kind, segments, set())
    names, stored_before = ddl.quoted(shared), ddl.quote(before)
    good = all_acceptable(kind, [name for name in shared if name in kind.by_name], stored_before)
    connection.execute(
        f"INSERT INTO {ddl.quote(kind.table)} ({names})"
        f" SELECT {names} FROM {stored_before} WHERE {good} ORDER BY timestamp"
    )
    left = connection.execute(f"SELECT 1 FROM {stored_before} WHERE NOT ({good}) LIMIT 1").fetchall()
    if not left and {"id", *shared} >= set(stored):
        connection.execute(f"DROP TABLE {ddl.quote(before)}")


def _add_columns(connection: apsw.Connection, kind: Kind, segment: Segment) -> None:
    stored = set(column_names(connection, segment.name))
    for column in kind.columns:
        if column.name not in stored:
            definition = ddl.column_definition(column)
            connection.execute(f"ALTER TABLE {ddl.quote(segment.name)} ADD COLUMN {definition}")


def column_names(connection: apsw.Connection, table: str) -> list[str]:
    """The columns of a table or view, in order; empty where there is none of that name."""
    return [str(name) for (name,) in connection.execute("SELECT name FROM pragma_table_info(?)", (table,))]


def rebuild_view(connection: apsw.Connection, kind: Kind, segments: Iterable[Segment]) -> None:
    """Put the public view over these segments, where it does not stand so already."""
    statements = public_view(kind, list(segments))
    wanted = {statement for statement in statements if statement.startswith("CREATE")}
    stored = {sql for (sql,) in connection.execute("SELECT sql FROM sqlite_master WHERE tbl_name = ?", (kind.table,))}
    if stored != wanted:
        for statement in statements:
            connection.execute(statement)
