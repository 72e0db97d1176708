"""Make the database what the declarations say: new kinds get their tables, new columns are added, nothing is lost."""

from __future__ import annotations

import time
from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
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
from kernelsight.stores.sqlite.views import BOOKS_OF_CHANGES, CHANGES, public_view


@dataclass(frozen=True, slots=True)
class _Stored:
    """What is in a database, read once for all tables."""

    tables: set[str]
    segments: Mapping[str, list[Segment]]
    columns: Mapping[str, list[str]]
    """Segment → its columns, in order."""
    statements: Mapping[str, set[str]]
    """View → the statements that made it and its triggers."""


def prepare(connection: apsw.Connection, path: Path, kinds: Mapping[str, Kind], migrations: list[Migration]) -> None:
    """Migrate the books, then bring every table of events to its declaration, in one transaction."""
    with connection:
        migrate(connection, path, migrations)
        stored = _Stored(table_names(connection), books.load(connection), _columns(connection), _statements(connection))
        _put(connection, {CHANGES: BOOKS_OF_CHANGES}, stored.statements)
        for kind in kinds.values():
            if kind.table in stored.tables:
                _adopt(connection, path, kind, stored)
            else:
                _follow(connection, kind, stored)
        if {"syscall", "memory", "io_latency"} <= kinds.keys():
            make_named_views(connection)


def _follow(connection: apsw.Connection, kind: Kind, stored: _Stored) -> None:
    segments = [segment for segment in stored.segments.get(kind.table, []) if segment.damage is None]
    columns = {segment.name: [*stored.columns[segment.name]] for segment in segments}
    for segment in segments:
        _add_columns(connection, kind, segment, columns[segment.name])
    if not segments:
        segments = [add_segment(connection, kind, None)]
    elif columns[segments[-1].name] != ["id", *kind.column_names]:
        segments = [*segments[:-1], *_begin_regular(connection, kind, segments[-1])]
    columns[segments[-1].name] = ["id", *kind.column_names]
    _put(connection, public_view(kind, segments, columns), stored.statements)


def _begin_regular(connection: apsw.Connection, kind: Kind, hot: Segment) -> list[Segment]:
    """Have a hot segment whose columns are those that are declared, in their order: the triggers rely on it."""
    if hot.last_id is None:
        connection.execute(f"DROP TABLE {ddl.quote(hot.name)}")
        connection.execute(ddl.create_segment(kind, hot.number))
        return [hot]
    hot.full = True
    books.save(connection, [hot])
    return [hot, add_segment(connection, kind, hot)]


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


def _adopt(connection: apsw.Connection, path: Path, kind: Kind, database: _Stored) -> None:
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
    _follow(connection, kind, database)
    names, stored_before = ddl.quoted(shared), ddl.quote(before)
    good = all_acceptable(kind, [name for name in shared if name in kind.by_name], stored_before)
    connection.execute(
        f"INSERT INTO {ddl.quote(kind.table)} ({names})"
        f" SELECT {names} FROM {stored_before} WHERE {good} ORDER BY timestamp"
    )
    left = connection.execute(f"SELECT 1 FROM {stored_before} WHERE NOT ({good}) LIMIT 1").fetchall()
    if not left and {"id", *shared} >= set(stored):
        connection.execute(f"DROP TABLE {ddl.quote(before)}")


def _add_columns(connection: apsw.Connection, kind: Kind, segment: Segment, stored: list[str]) -> None:
    for column in kind.columns:
        if column.name not in stored:
            definition = ddl.column_definition(column)
            connection.execute(f"ALTER TABLE {ddl.quote(segment.name)} ADD COLUMN {definition}")
            stored.append(column.name)


def column_names(connection: apsw.Connection, table: str) -> list[str]:
    """The columns of a table or view, in order; empty where there is none of that name."""
    return [str(name) for (name,) in connection.execute("SELECT name FROM pragma_table_info(?)", (table,))]


def _columns(connection: apsw.Connection, table: str | None = None) -> dict[str, list[str]]:
    """The columns of each segment, of one table or of all, in order."""
    columns: dict[str, list[str]] = defaultdict(list)
    for segment, name in connection.execute(
        "SELECT names.name, columns.name FROM (SELECT table_name || '__' || number AS name FROM segments"
        " WHERE ?1 IS NULL OR table_name = ?1) AS names, pragma_table_info(names.name) AS columns"
        " ORDER BY names.name, columns.cid",
        (table,),
    ):
        columns[str(segment)].append(str(name))
    return columns


def _statements(connection: apsw.Connection) -> dict[str, set[str]]:
    statements: dict[str, set[str]] = defaultdict(set)
    for view, sql in connection.execute("SELECT tbl_name, sql FROM sqlite_master WHERE type IN ('view', 'trigger')"):
        statements[str(view)].add(str(sql))
    return statements


def rebuild_view(connection: apsw.Connection, kind: Kind, segments: Iterable[Segment]) -> None:
    """Put the public view over these segments, where it does not stand so already."""
    views = public_view(kind, list(segments), _columns(connection, kind.table))
    _put(connection, views, _statements(connection))


def _put(connection: apsw.Connection, views: Mapping[str, Sequence[str]], statements: Mapping[str, set[str]]) -> None:
    """Make views and their triggers again, where they are not what they should be.

    Args:
        connection: a writer's, within a transaction.
        views: view → the statements that make it and its triggers.
        statements: those that are stored.
    """
    for view, wanted in views.items():
        if statements.get(view, set()) != set(wanted):
            connection.execute(f"DROP VIEW IF EXISTS {ddl.quote(view)}")
            for statement in wanted:
                connection.execute(statement)
