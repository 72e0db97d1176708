"""The twins of one database as a reader of it sees them: which can be read, and which rows only they have."""

from __future__ import annotations

import os
import stat
from collections.abc import Collection, Iterable, Iterator, Sequence
from contextlib import suppress
from pathlib import Path
from typing import TYPE_CHECKING

import apsw

from kernelsight.events.declare import Kind
from kernelsight.stores.base import Row, Value
from kernelsight.stores.damage import Damage
from kernelsight.stores.sqlite.segments import Segment
from kernelsight.stores.sqlite.twins.archive import Tests
from kernelsight.stores.sqlite.twins.books import Twin, TwinFile, load_files, load_twins
from kernelsight.stores.sqlite.twins.covering import Coverage, Span, Usable
from kernelsight.stores.sqlite.twins.folder import checksum, folder_of
from kernelsight.trusted_paths import as_user

if TYPE_CHECKING:  # loads DuckDB
    from kernelsight.stores.sqlite.twins.engine import Engine


class Shelf:
    """See the module; it belongs to one connection."""

    def __init__(self, connection: apsw.Connection, database: Path, user: tuple[int, int]) -> None:
        self._connection = connection
        self._database = database
        self._user = user
        self._files: dict[str, dict[str, TwinFile]] = {}
        self._twins: dict[str, list[Twin]] = {}
        self._spoilt: dict[tuple[str, str], str] = {}
        self._engine: Engine | None = None

    def forget(self) -> None:
        """Read the books again when they are needed: somebody has written since."""
        self._files.clear()
        self._twins.clear()

    def _load(self, table: str) -> None:
        if table not in self._twins:
            with as_user(*self._user):
                self._files[table] = {name: file for (_, name), file in load_files(self._connection, table).items()}
                self._twins[table] = load_twins(self._connection, table)
                for name in {twin.file for twin in self._twins[table]}:
                    self._look_at(table, name)

    def _look_at(self, table: str, name: str) -> None:
        """Whether a file is an ordinary one with the bytes that it had; what is in them shows when they are read."""
        file, key = self._files[table].get(name), (table, name)
        path = folder_of(self._database) / table / name
        try:
            status = os.lstat(path)
        except OSError as error:
            self._spoilt[key] = error.strerror or "cannot be looked at"
            return
        if file is None or not stat.S_ISREG(status.st_mode) or status.st_size != file.bytes:
            self._spoilt[key] = "it is not the file that was made"

    def twins(self, table: str) -> list[Twin]:
        """The fresh and archived twins that can be read, the oldest first."""
        self._load(table)
        return [twin for twin in self._twins[table] if (table, twin.file) not in self._spoilt]

    def lost(self, table: str, stored: Collection[int]) -> list[Damage]:
        """The archived twins that cannot be read.

        Args:
            table: whose.
            stored: the segments that can be read.
        """
        self._load(table)
        return [
            Damage(table, twin.file, twin.rows, twin.first_timestamp, twin.last_timestamp, reason)
            for twin in self._twins[table]
            if twin.number not in stored and (reason := self._spoilt.get((table, twin.file)))
        ]

    def coverage(self, table: str, readable: Iterable[Segment], span: Span) -> Coverage:
        """How the rows of a range lie.

        Args:
            table: whose rows.
            readable: its segments that can be read.
            span: the range.
        """
        within = [twin for twin in self.twins(table) if twin.overlaps(*span)]
        twinned = {twin.number for twin in within}
        others = tuple(segment for segment in readable if segment.overlaps(*span) and segment.number not in twinned)
        return Coverage(self._usable(table, within), others)

    def _usable(self, table: str, twins: Iterable[Twin]) -> tuple[Usable, ...]:
        by_file: dict[str, list[Twin]] = {}
        for twin in twins:
            by_file.setdefault(twin.file, []).append(twin)
        files = self._files[table]
        return tuple(
            Usable(files[name], tuple(some), sum(twin.rows for twin in some) == files[name].rows)
            for name, some in by_file.items()
        )

    def archived_rows(self, kind: Kind, stored: Collection[int], columns: Sequence[str], tests: Tests) -> Iterator[Row]:
        """Columns of the rows that are in no segment and meet some conditions, in order of arrival.

        Args:
            kind: whose rows.
            stored: the segments that can be read.
            columns: those wanted.
            tests: the conditions.
        """
        span = _stamp(tests, ">="), _stamp(tests, "<=")
        twins = [twin for twin in self.twins(kind.table) if twin.number not in stored and twin.overlaps(*span)]
        return self.engine().rows_of_files(kind, self._usable(kind.table, twins), columns, tests)

    def engine(self) -> Engine:
        """What reads files; it is loaded when it is asked for first."""
        from kernelsight.stores.sqlite.twins.engine import Engine  # noqa: PLC0415 - loads DuckDB

        if self._engine is None:
            self._engine = Engine(self._database, self._user)
        return self._engine

    def find_spoilt(self) -> bool:
        """After a file could not be read: compare those that the books name with their checksums.

        Returns:
            whether one was found that was not known; without it there may be an answer.
        """
        before = len(self._spoilt)
        with as_user(*self._user):
            for key, file in load_files(self._connection).items():
                if key in self._spoilt or file.retired_ns is not None:
                    continue
                with suppress(FileNotFoundError), (folder_of(self._database) / key[0] / key[1]).open("rb") as content:
                    if checksum(content) != file.sha256:
                        self._spoilt[key] = "its checksum is not that of the file that was made"
        return len(self._spoilt) > before

    def close(self) -> None:
        """Give everything back."""
        if self._engine is not None:
            self._engine.close()
            self._engine = None


def _stamp(tests: Tests, operator: str) -> int | None:
    stamps: list[Value] = [value for column, test, value in tests if (column, test) == ("timestamp", operator)]
    return next((stamp for stamp in stamps if isinstance(stamp, int)), None)
