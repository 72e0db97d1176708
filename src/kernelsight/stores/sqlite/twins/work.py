"""Makes the twins that are due: the work of a short-lived process, with little memory and when there is time."""

from __future__ import annotations

import os
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import apsw

from kernelsight.errors import StoreError
from kernelsight.events.declare import Kind
from kernelsight.events.wire import tables
from kernelsight.stores.sqlite.connect import connect_writer, translated
from kernelsight.stores.sqlite.migrations import MIGRATIONS, require_ours
from kernelsight.stores.sqlite.segments import Segment, load_table
from kernelsight.stores.sqlite.twins import books, files
from kernelsight.stores.sqlite.twins.books import Twin, TwinFile
from kernelsight.stores.sqlite.twins.folder import TwinFolder, checksum


@dataclass(slots=True)
class Made:
    """What was done."""

    twins: int = 0
    rows: int = 0
    refused: int = 0
    """Segments that hold what their columns cannot."""


def make_twins(path: Path, *, until: Callable[[], bool] = lambda: False) -> Made:
    """Make the twins that are due, oldest segments first, and remove files that nobody needs any more.

    Each is in the books as soon as it is whole; killed at any moment, this leaves none or a whole one.

    Args:
        path: the database, which a writer may have open.
        until: asked before each: true ends the work.

    Raises:
        StoreBusyError: another process does it.
        StoreError: the database cannot be read, or the folder beside it not written.
    """
    if not path.is_file():
        raise StoreError(f"{path}: no such database")
    with translated(path):
        connection = connect_writer(path)
        try:
            if require_ours(connection, path, MIGRATIONS) < len(MIGRATIONS):
                raise StoreError(f"{path}: is of an older version; `kernelsight ingest` brings it up to date")
            identity = books.identity_of(connection)
            folder = TwinFolder(path, identity)
            with folder.held():
                return _Work(path, connection, folder, identity).run(until)
        except OSError as error:
            raise StoreError(f"{path}: its twins cannot be written: {error.strerror}") from error
        finally:
            connection.close()


class _Work:
    def __init__(self, path: Path, connection: apsw.Connection, folder: TwinFolder, identity: str) -> None:
        self.path = path
        self.connection = connection
        self.folder = folder
        self.identity = identity
        self.made = Made()

    def run(self, until: Callable[[], bool]) -> Made:
        self.folder.sweep(books.load_files(self.connection).keys())
        self._forget_spoilt()
        while not until() and (segment := self._next()) is not None:
            self._twin(segment)
        self._remove_retired()
        return self.made

    def _forget_spoilt(self) -> None:
        """Twins whose file is gone or has another size are made again, where the rows are there."""
        stored = {*self.connection.execute("SELECT table_name, number FROM segments")}
        known = books.load_files(self.connection)
        for twin in books.load_twins(self.connection):
            file = known.get((twin.table_name, twin.file))
            if (twin.table_name, twin.number) in stored and (file is None or not self.folder.has(file)):
                with self._transaction():
                    books.forget(self.connection, twin.table_name, [twin.number])

    def _next(self) -> Segment | None:
        return next((segment for segment in books.due(self.connection) if segment.table_name in tables()), None)

    def _twin(self, segment: Segment) -> None:
        kind = tables()[segment.table_name]
        name = f"{segment.number:06d}-{segment.number:06d}-{time.time_ns():x}.parquet"
        place = self.folder.table(kind.table)
        try:
            file, twin = self._write(segment, kind, place, name)
        except files.UNREADABLE as error:
            with self._transaction():
                books.refuse(self.connection, segment, " ".join(str(error).split())[:200])
            self.made.refused += 1
            return
        if not self._book(segment, file, twin):
            (place / name).unlink()

    def _write(self, segment: Segment, kind: Kind, place: Path, name: str) -> tuple[TwinFile, Twin]:
        with self.folder.new_file(place, name) as file:
            with self.connection:  # one state of the rows
                rows, first, last = files.write_segment(self.connection, kind, segment, file, self.identity)
            file.flush()
            made = TwinFile(
                table_name=kind.table,
                file=name,
                rows=rows,
                bytes=os.fstat(file.fileno()).st_size,
                sha256=checksum(file),
                columns=",".join(("id", *kind.column_names)),
                made_ns=time.time_ns(),
            )
        assert segment.last_id is not None
        twin = Twin(
            kind.table, segment.number, name, rows, segment.first_id, segment.last_id, first, last, segment.edits
        )
        return made, twin

    def _book(self, segment: Segment, file: TwinFile, twin: Twin) -> bool:
        """Book a twin, unless its segment was changed meanwhile."""
        with self._transaction():
            now = [s for s in load_table(self.connection, segment.table_name) if s.number == segment.number]
            if not now or now[0].edits != segment.edits or now[0].rows != file.rows:
                return False
            books.record(self.connection, file, [twin])
        self.made.twins += 1
        self.made.rows += file.rows
        return True

    @contextmanager
    def _transaction(self) -> Iterator[None]:
        """A short write transaction: the writer of the database waits for it."""
        self.connection.execute("BEGIN IMMEDIATE")
        try:
            yield
        except BaseException:
            self.connection.execute("ROLLBACK")
            raise
        self.connection.execute("COMMIT")

    def _remove_retired(self) -> None:
        gone = books.removable(self.connection, time.time_ns())
        if not gone:
            return
        for file in gone:
            self.folder.remove(file.table_name, file.file)
        with self._transaction():
            self.connection.executemany(
                "DELETE FROM twin_files WHERE table_name = ? AND file = ? AND retired_ns IS NOT NULL",
                [(file.table_name, file.file) for file in gone],
            )
