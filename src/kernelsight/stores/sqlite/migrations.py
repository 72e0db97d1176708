"""What was changed in the layout of the database, step by step.

Tables of events need no step here: they follow their declarations (see
:mod:`kernelsight.stores.sqlite.schema`). A step is for the books, or for moving what is stored.
Steps are applied in order, each recorded in ``schema_version``; none is ever changed or removed.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

import apsw

from kernelsight.errors import StoreError, StoreVersionError
from kernelsight.stores.sqlite.books import CREATE_COLLECTORS, CREATE_REJECTED, CREATE_RETENTION
from kernelsight.stores.sqlite.connect import integer
from kernelsight.stores.sqlite.ddl import quote, segment_name
from kernelsight.stores.sqlite.derivations import CREATE_DERIVATIONS
from kernelsight.stores.sqlite.limits import CREATE_LIMITS
from kernelsight.stores.sqlite.segments import CREATE_SEGMENTS
from kernelsight.stores.sqlite.twins.books import CREATE_TWINS

Step = Callable[[apsw.Connection], None]


@dataclass(frozen=True, slots=True)
class Migration:
    """One step, and the version that the database has after it."""

    version: int
    name: str
    apply: Step


MIGRATIONS: list[Migration] = []


def migration(step: Step) -> Step:
    """Register the next step; its version is its place."""
    MIGRATIONS.append(Migration(len(MIGRATIONS) + 1, step.__name__, step))
    return step


@migration
def books_of_segments_and_lines(connection: apsw.Connection) -> None:
    """The first layout."""
    for statement in (CREATE_SEGMENTS, CREATE_COLLECTORS, *CREATE_REJECTED, CREATE_RETENTION):
        connection.execute(statement)


@migration
def progress_of_what_is_derived(connection: apsw.Connection) -> None:
    """How far signals and the like have been calculated."""
    connection.execute(CREATE_DERIVATIONS)


@migration
def verdicts_of_diagnoses(connection: apsw.Connection) -> None:
    """What the agent wrote down before there were three answers has the one that it gave."""
    segments = connection.execute("SELECT number FROM segments WHERE table_name = 'diagnoses'").fetchall()
    for (number,) in segments:
        name = segment_name("diagnoses", int(str(number)))
        segment = quote(name)
        columns = {column for (column,) in connection.execute("SELECT name FROM pragma_table_info(?)", (name,))}
        if "verdict" not in columns:
            connection.execute(f"ALTER TABLE {segment} ADD COLUMN verdict TEXT")
        connection.execute(
            f"UPDATE {segment} SET verdict = CASE WHEN healthy THEN 'healthy' ELSE 'findings' END"
            " WHERE verdict IS NULL AND healthy IS NOT NULL"
        )


@migration
def numbered_lines(connection: apsw.Connection) -> None:
    """Which run of the collectors printed the lines of a kind, and how many there were before it."""
    for column in ("run", "lines_before_run"):
        connection.execute(f"ALTER TABLE collectors ADD COLUMN {column} INTEGER")


@migration
def damaged_segments(connection: apsw.Connection) -> None:
    """Which segments cannot be read, and why."""
    connection.execute("ALTER TABLE segments ADD COLUMN damage TEXT")


@migration
def books_of_twins(connection: apsw.Connection) -> None:
    """Which segments have a columnar twin, and how often the rows of a segment were changed."""
    connection.execute("ALTER TABLE segments ADD COLUMN edits INTEGER NOT NULL DEFAULT 0")
    for statement in CREATE_TWINS:
        connection.execute(statement)


@migration
def limits_of_tiers(connection: apsw.Connection) -> None:
    """How long rows, columns and rollups are kept, and how much disk they may take."""
    connection.execute(CREATE_LIMITS)


def table_names(connection: apsw.Connection) -> set[str]:
    """The tables of the database, views not included."""
    return {str(name) for (name,) in connection.execute("SELECT name FROM sqlite_master WHERE type = 'table'")}


def stored_version(connection: apsw.Connection) -> int:
    """Version of the database; 0: nothing of ours in it yet."""
    if not {"schema_version", "segments"} <= table_names(connection):
        return 0
    return integer(connection, "SELECT max(version) FROM schema_version") or 0


def check_version(connection: apsw.Connection, path: Path, migrations: Sequence[Migration]) -> int:
    """Version of the database.

    Raises:
        StoreVersionError: it is newer than we are.
    """
    version, known = stored_version(connection), len(migrations)
    if version > known:
        raise StoreVersionError(
            f"{path}: its layout has version {version}, this KernelSight knows up to {known}; update KernelSight"
        )
    return version


def migrate(connection: apsw.Connection, path: Path, migrations: Sequence[Migration]) -> None:
    """Apply the steps that the database lacks; to be called within a transaction."""
    version = check_version(connection, path, migrations)
    if version == 0:
        if "schema_version" in table_names(connection):  # of the program that made the file
            connection.execute("ALTER TABLE schema_version RENAME TO schema_version_before")
        connection.execute(
            "CREATE TABLE schema_version (version INTEGER PRIMARY KEY, name TEXT NOT NULL, applied_at INTEGER NOT NULL)"
        )
    for step in migrations[version:]:
        step.apply(connection)
        connection.execute(
            "INSERT INTO schema_version (version, name, applied_at) VALUES (?, ?, ?)",
            (step.version, step.name, time.time_ns()),
        )


def require_ours(connection: apsw.Connection, path: Path, migrations: Sequence[Migration]) -> int:
    """Version of the database, which something else must not have made.

    Raises:
        StoreVersionError: it is newer than we are.
        StoreError: it has none of our books.
    """
    version = check_version(connection, path, migrations)
    if version == 0:
        raise StoreError(f"{path}: is not a KernelSight database (it has no schema_version)")
    return version
