"""How much a database file takes, by what is in it, and how free pages go back to the file system.

New files are made with `auto_vacuum = INCREMENTAL`: free pages at any place can be given back, some hundred a step
(pages of the end of the file move to their places), where a `VACUUM` would rewrite the file while everybody waits. A
file that an older version made keeps its free pages, for rows to come, until :func:`compact` has rewritten it once.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Collection, Iterable, Mapping

import apsw

from kernelsight.stores.limits import Limits
from kernelsight.stores.sqlite.connect import PAGE_BYTES, integer
from kernelsight.stores.sqlite.leaving import Usage
from kernelsight.stores.sqlite.rollups import rollups_in

STEP_PAGES = 200
"""Given back in one transaction: 20 ms (benchmarks/retention.py)."""
FREE_SHARE = 10
"""A file keeps up to one page in so many free, because new rows need them soon; over its budget it keeps none."""
LEAST_FREE_PAGES = 2_000
_INCREMENTAL = 2


def free_pages(connection: apsw.Connection) -> int:
    """Pages of the file that hold nothing."""
    return integer(connection, "PRAGMA freelist_count") or 0


def pages(connection: apsw.Connection) -> int:
    """All pages of the file."""
    return integer(connection, "PRAGMA page_count") or 0


def returns_space(connection: apsw.Connection) -> bool:
    """Whether free pages of this file can go back to the file system while it is in use."""
    return integer(connection, "PRAGMA auto_vacuum") == _INCREMENTAL


def give_back(connection: apsw.Connection, *, all_of_it: bool) -> bool:
    """Give some hundred free pages back, in a transaction; False when there are few, or the file cannot.

    Args:
        connection: the writer's, outside of a transaction.
        all_of_it: leave no page free for new rows.
    """
    free = free_pages(connection)
    keep = 0 if all_of_it else max(LEAST_FREE_PAGES, pages(connection) // FREE_SHARE)
    if free <= keep or not returns_space(connection):
        return False
    connection.execute(f"PRAGMA incremental_vacuum({min(STEP_PAGES, free - keep)})").fetchall()
    return free_pages(connection) < free


def compact(connection: apsw.Connection) -> None:
    """Write the whole file again so that it can give space back from now on; nobody else may use it, and it takes long.

    Needs as much free space beside the file as is used in it.
    """
    connection.execute(f"PRAGMA auto_vacuum = {_INCREMENTAL}").fetchall()
    connection.execute("VACUUM").fetchall()


def bytes_by_name(connection: apsw.Connection, names: Iterable[str] | None = None) -> Mapping[str, int]:
    """Bytes of tables and indexes, all of them by default; it reads their pages."""
    if names is None:
        found = connection.execute("SELECT name, pgsize FROM dbstat WHERE aggregate = TRUE").fetchall()
    else:
        found = [
            row
            for name in names
            for row in connection.execute(
                "SELECT name, pgsize FROM dbstat WHERE aggregate = TRUE AND name = ?", (name,)
            )
        ]
    sizes: dict[str, int] = defaultdict(int)
    for name, size in found:
        sizes[str(name)] += int(str(size))
    return sizes


def bytes_by_table(connection: apsw.Connection) -> Mapping[str, int]:
    """Bytes of every table with its indexes."""
    sizes: dict[str, int] = defaultdict(int)
    by_name = bytes_by_name(connection)
    for name, table in connection.execute("SELECT name, tbl_name FROM sqlite_master WHERE type IN ('table', 'index')"):
        sizes[str(table)] += by_name.get(str(name), 0)
    return sizes


def bytes_of(connection: apsw.Connection, table: str) -> int:
    """Bytes of one table with its indexes; it reads their pages."""
    names = connection.execute("SELECT name FROM sqlite_master WHERE tbl_name = ?", (table,)).fetchall()
    return sum(bytes_by_name(connection, (str(name) for (name,) in names)).values())


class Meter:
    """Bytes that a store takes, without its write-ahead log; what takes long to find out is kept for a while."""

    def __init__(self, connection: apsw.Connection, tables: Collection[str]) -> None:
        self._connection = connection
        self._tables = tables
        self._rollups: int | None = None

    def forget(self) -> None:
        """Measure rollups anew when they are next asked for."""
        self._rollups = None

    def usage(self, limits: Limits, *, columns: int, going: int) -> Usage:
        """What is taken now.

        Args:
            limits: of the store; where its budget is far, rollups count as rows and are not measured.
            columns: bytes of files with columns.
            going: bytes of tables that are gone for readers and not dropped yet.
        """
        used = (pages(self._connection) - free_pages(self._connection)) * PAGE_BYTES - going
        budget = limits.max_disk
        if budget is None or used + columns <= budget:
            return Usage(used, columns, 0)
        if self._rollups is None:
            names = rollups_in(self._connection, self._tables)
            self._rollups = sum(bytes_of(self._connection, name) for name in names)
        return Usage(used - self._rollups, columns, self._rollups)
