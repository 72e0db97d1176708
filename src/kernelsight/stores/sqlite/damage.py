"""Damage of a segment or of a whole file: how it is told, and what is said of it."""

from __future__ import annotations

import mmap
import re
from collections.abc import Mapping
from itertools import count
from pathlib import Path

import apsw

from kernelsight.stores.base import Account
from kernelsight.stores.damage import Damage
from kernelsight.stores.sqlite.books import load_accounts
from kernelsight.stores.sqlite.ddl import quote
from kernelsight.stores.sqlite.segments import CREATE_SEGMENTS, Segment

DAMAGED = (apsw.CorruptError, apsw.NotADBError)

_LONGEST_REASON = 200
_TREE = re.compile(r"Tree (\d+)\b")
"""How SQLite begins what it finds wrong with the pages of a table or an index: by its root page."""


def damage_of(connection: apsw.Connection, segment: Segment) -> str | None:
    """What SQLite finds wrong with the table of a segment or its indexes; None where it is whole.

    It reads the whole segment: 0.05 to 0.2 s for 100,000 rows.
    """
    return damage_of_table(connection, segment.name)


def damage_of_table(connection: apsw.Connection, name: str) -> str | None:
    """What SQLite finds wrong with a table or its indexes; None where it is whole."""
    try:
        [(said,)] = connection.execute(f"PRAGMA quick_check({quote(name)})").fetchall()[:1]
    except apsw.CorruptError as error:
        return str(error)
    return None if said == "ok" else " ".join(str(said).split())[:_LONGEST_REASON]


def is_in_indexes_alone(connection: apsw.Connection, segment: Segment) -> bool:
    """Whether all that SQLite finds wrong with a damaged segment is in its indexes, and every row can be read.

    An index also has too many entries where rows are gone, so that as many as the books say must be there.
    """
    name = segment.name
    indexes = {
        str(index): str(root)
        for index, root in connection.execute(
            "SELECT name, rootpage FROM main.sqlite_master WHERE type = 'index' AND tbl_name = ?", (name,)
        )
    }
    columns = ", ".join(f"max({quote(str(column))})" for column in _columns(connection, name))
    try:
        said = [str(text) for (text,) in connection.execute(f"PRAGMA main.quick_check({quote(name)})")]
        [(rows, *_)] = connection.execute(f"SELECT count(*), {columns} FROM main.{quote(name)} NOT INDEXED").fetchall()
    except apsw.CorruptError:
        return False
    lines = [line for text in said for line in text.splitlines() if not line.startswith("*** in database")]
    return rows == segment.rows and bool(lines) and all(_is_of_index(line, indexes) for line in lines)


def _is_of_index(line: str, indexes: Mapping[str, str]) -> bool:
    """Whether what SQLite says is of an index, by its name or by its root page."""
    tree = _TREE.match(line)
    return tree[1] in indexes.values() if tree else line.endswith(tuple(f" index {name}" for name in indexes))


def _columns(connection: apsw.Connection, name: str) -> list[str]:
    return [str(column) for (column,) in connection.execute("SELECT name FROM pragma_table_info(?)", (name,))]


def described(segment: Segment, reason: str) -> Damage:
    """What is missing where a segment cannot be read."""
    return Damage(
        segment.table_name, segment.name, segment.rows, segment.first_timestamp, segment.last_timestamp, reason
    )


def rename_damaged(connection: apsw.Connection, table: str) -> str:
    """Give a damaged table another name, and take its indexes out of the schema; within a transaction.

    An index is dropped page by page, which its damage would not allow. Its pages are unused until a repair.

    Returns:
        the new name.
    """
    names = {str(name) for (name,) in connection.execute("SELECT name FROM sqlite_master")}
    aside = next(name for number in count(1) if (name := f"{table}_damaged_{number}") not in names)
    connection.execute("PRAGMA writable_schema = ON").fetchall()
    try:
        connection.execute("DELETE FROM sqlite_master WHERE type = 'index' AND tbl_name = ?", (table,))
    finally:
        connection.execute("PRAGMA writable_schema = RESET").fetchall()
    connection.execute(f"ALTER TABLE {quote(table)} RENAME TO {quote(aside)}")
    return aside


def abandon(connection: apsw.Connection) -> None:
    """Close a connection without putting anything more into the database."""
    connection.config(apsw.SQLITE_DBCONFIG_NO_CKPT_ON_CLOSE, 1)
    connection.close(True)


def is_ours(path: Path) -> bool:
    """Whether a file that SQLite cannot read holds the text that made our books; nobody here may have it open."""
    try:
        with path.open("rb") as file, mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ) as content:
            return content.find(CREATE_SEGMENTS.partition("(")[0].encode()) >= 0
    except (OSError, ValueError):  # an empty file cannot be mapped
        return False


def readable_accounts(path: Path) -> Mapping[str, Account]:
    """What the books of a damaged file say, where they can be read."""
    try:
        connection = apsw.Connection(str(path), flags=apsw.SQLITE_OPEN_READONLY)
        try:
            return load_accounts(connection)
        finally:
            connection.close(True)
    except apsw.Error:
        return {}
