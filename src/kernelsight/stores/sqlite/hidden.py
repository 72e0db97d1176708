"""Damaged segments that one connection hides from what it reads: answers come from the rest.

A name without a schema means a temporary view first, then what is in the file (sqlite.org/lang_naming.html). So an
empty temporary view stands before a damaged segment, and before the public name one over the segments that are whole.
A segment of which only indexes are damaged is read without them.
"""

from __future__ import annotations

import re
import time
from collections.abc import Iterable

import apsw

from kernelsight.stores.sqlite import segments as segment_books
from kernelsight.stores.sqlite.damage import damage_of, is_in_indexes_alone
from kernelsight.stores.sqlite.ddl import quote
from kernelsight.stores.sqlite.schema import column_names
from kernelsight.stores.sqlite.segments import Segment
from kernelsight.stores.sqlite.twins.archive import archive_beside, archive_name

_NAME = re.compile(r"\w+")


class Hidden:
    """What one connection has met and hides."""

    def __init__(self, connection: apsw.Connection) -> None:
        self._connection = connection
        self.reasons: dict[str, str] = {}
        """Segment → what SQLite says of it."""
        self._unindexed: set[str] = set()
        """Segments of which only indexes are damaged: they are read without them, and nothing is missing."""
        self._shown: dict[str, list[str]] = {}
        """Table → the tables that its temporary view stands over."""
        self._archived: set[str] = set()
        """Tables whose view also has the rows that are in twins alone."""

    def find(self, sql: str) -> bool:
        """Look for damage in what a statement reads, and hide it.

        Returns:
            whether there was damage that was not known; the statement can be run again then.
        """
        tables = segment_books.load(self._connection)
        words = set(_NAME.findall(sql))
        named = {s.name: s for segments in tables.values() for s in segments if {s.name, s.table_name} & words}
        return self._hide_damaged(named.values()) or self._hide_damaged(
            s for segments in tables.values() for s in segments if s.name not in named
        )

    def look(self, seconds: float) -> None:
        """Look for damage in segments for about so long, the newest first."""
        deadline = time.monotonic() + seconds
        tables = segment_books.load(self._connection)
        for segment in sorted((s for segments in tables.values() for s in segments), key=_newest_first):
            if time.monotonic() >= deadline:
                return
            self._hide_damaged([segment])

    def _hide_damaged(self, segments: Iterable[Segment]) -> bool:
        before = len(self.reasons) + len(self._unindexed)
        for segment in segments:
            if segment.damage is None and segment.name not in self.reasons and segment.name not in self._unindexed:
                reason = damage_of(self._connection, segment)
                if reason is None:
                    continue
                if is_in_indexes_alone(self._connection, segment):
                    self._unindexed.add(segment.name)
                else:
                    self.reasons[segment.name] = reason
                self._hide(segment)
        return len(self.reasons) + len(self._unindexed) > before

    def _hide(self, segment: Segment) -> None:
        columns = column_names(self._connection, segment.name)
        nothing = ", ".join(f"NULL AS {quote(name)}" for name in columns)
        if segment.name in self._unindexed:
            self._make(segment.name, f"SELECT {', '.join(map(quote, columns))} FROM {self._readable(segment.name)}")
        else:
            self._make(segment.name, f"SELECT {nothing} WHERE 0")
        self._make(segment.table_name, f"SELECT {nothing} WHERE 0")
        self._shown[segment.table_name] = []
        self.refresh()

    def show_archived(self, tables: Iterable[str]) -> None:
        """Have some public names also mean the rows that are in twins alone."""
        for table in tables:
            self._archived.add(table)
            self._shown.setdefault(table, [])
        self.refresh()

    def refresh(self) -> None:
        """Put the temporary views over the segments that there are now."""
        for table, shown in self._shown.items():
            whole = [
                s
                for s in segment_books.load_table(self._connection, table)
                if s.damage is None and s.name not in self.reasons
            ]
            names = [segment.name for segment in whole]
            if not names:
                continue
            readable = [self._readable(name) for name in names]
            if table in self._archived:
                names.append(archive_name(table))
                readable.append(archive_beside(table, (segment.number for segment in whole)))
            if names == shown:
                continue
            columns = column_names(self._connection, whole[-1].name)
            chosen = ", ".join(map(quote, columns))
            self._make(table, " UNION ALL ".join(f"SELECT {chosen} FROM {name}" for name in readable))
            self._shown[table] = names
            self._copy_views_of(table)

    def _readable(self, segment: str) -> str:
        return f"main.{quote(segment)}" + (" NOT INDEXED" if segment in self._unindexed else "")

    def _copy_views_of(self, table: str) -> None:
        """Views of the file that read the table's public name read what is hidden; copies of them do not."""
        views = self._connection.execute("SELECT name, sql FROM main.sqlite_master WHERE type = 'view'").fetchall()
        for name, sql in views:
            _, _, select = str(sql).partition(" AS")
            if str(name) != table and table in _NAME.findall(select):
                self._make(str(name), select)

    def _make(self, name: str, select: str) -> None:
        self._connection.execute("PRAGMA query_only = 0").fetchall()  # the file itself is open for reading only
        try:
            self._connection.execute(f"DROP VIEW IF EXISTS temp.{quote(name)}")
            self._connection.execute(f"CREATE TEMP VIEW {quote(name)} AS {select}")
        finally:
            self._connection.execute("PRAGMA query_only = 1").fetchall()


def _newest_first(segment: Segment) -> tuple[bool, int]:
    return segment.full, -segment.opened_ns
