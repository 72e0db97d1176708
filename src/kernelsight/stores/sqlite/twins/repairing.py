"""Twins that are not what was written: made anew from the rows, and saved in part where the rows are gone.

A twin whose segment is in the database is let go, and made again from its rows. Of an archived one, the groups of rows
whose pages have the right checksums go into a new file; the others are lost, and count as dropped. The damaged file is
kept beside the folder.
"""

from __future__ import annotations

import os
import time
from collections.abc import Sequence
from contextlib import closing
from pathlib import Path

import apsw
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

from kernelsight.errors import StoreError
from kernelsight.events.wire import tables
from kernelsight.moments import file_stamp
from kernelsight.stores.base import Row
from kernelsight.stores.damage import Recovered, Repaired
from kernelsight.stores.sqlite.backup import sha256_of
from kernelsight.stores.sqlite.connect import connect_writer, translated
from kernelsight.stores.sqlite.lock import WriterLock
from kernelsight.stores.sqlite.twins import books, files
from kernelsight.stores.sqlite.twins.books import Twin, TwinFile
from kernelsight.stores.sqlite.twins.folder import TwinFolder, checksum
from kernelsight.stores.sqlite.twins.work import make_twins

_UNREADABLE = (OSError, pa.ArrowException)


def repair_twins(path: Path) -> Repaired | None:
    """Look at all twins by their checksums, and repair those that differ; nobody may be writing.

    Returns:
        what became of the damaged files; None where none is.

    Raises:
        StoreBusyError: somebody writes to the database, or makes twins of it.
        StoreError: it cannot be read or written.
    """
    lock = WriterLock(path)
    try:
        with translated(path), closing(connect_writer(path)) as connection:
            identity = books.identity_of(connection)
            damaged = _damaged(path, connection)
            if not damaged:
                return None
            folder = TwinFolder(path, identity)
            with folder.held():
                work = _Work(connection, folder, identity)
                parts = tuple(part for file in damaged for part in work.repair(file))
            make_twins(path)
    except OSError as error:
        raise StoreError(f"{path}: its columnar twins cannot be repaired: {error.strerror or error}") from error
    finally:
        lock.release()
    kept = "" if all(part.lost == 0 for part in parts) else str(work.aside)
    return Repaired(str(folder.path), parts, kept)


def _damaged(path: Path, connection: apsw.Connection) -> list[TwinFile]:
    folder = path.with_name(f"{path.name}.twins")
    every = [file for file in books.load_files(connection).values() if file.retired_ns is None]
    return [file for file in every if not _is_whole(folder / file.table_name / file.file, file)]


def _is_whole(place: Path, file: TwinFile) -> bool:
    try:
        return sha256_of(place) == file.sha256
    except OSError:
        return False


class _Work:
    def __init__(self, connection: apsw.Connection, folder: TwinFolder, identity: str) -> None:
        self.connection = connection
        self.folder = folder
        self.identity = identity
        self.aside = folder.path.with_name(f"{folder.path.name}.damaged-{file_stamp(time.time_ns())}")

    def repair(self, file: TwinFile) -> list[Recovered]:
        """Repair one file; what became of its segments."""
        place = self.folder.path / file.table_name / file.file
        twins = [twin for twin in books.load_twins(self.connection, file.table_name) if twin.file == file.file]
        archived = [twin for twin in twins if not self._has_rows(twin)]
        saved = self._saved(place, archived) if archived else None
        new = self._write(file, archived, saved) if saved is not None and saved.num_rows else None
        with self.connection:
            books.forget(self.connection, file.table_name, [twin.number for twin in twins])
            if new is not None:
                books.record(self.connection, *new)
            kept = {twin.number: twin.rows for twin in new[1]} if new is not None else {}
            lost = sum(twin.rows - kept.get(twin.number, 0) for twin in archived)
            self.connection.execute(
                "UPDATE collectors SET stored = stored - ?1, dropped = dropped + ?1 WHERE kind = ?2 AND stored >= ?1",
                (lost, tables()[file.table_name].name),
            )
        if place.exists():
            self.aside.mkdir(mode=0o700, exist_ok=True)
            place.rename(self.aside / f"{file.table_name}-{file.file}")
        return [self._told(twin, kept, rows=twin in archived) for twin in twins]

    def _told(self, twin: Twin, kept: dict[int, int], *, rows: bool) -> Recovered:
        part = f"{twin.table_name}/{twin.file}"
        if not rows:
            return Recovered(part, twin.rows, 0)
        return Recovered(part, kept.get(twin.number, 0), twin.rows - kept.get(twin.number, 0))

    def _has_rows(self, twin: Twin) -> bool:
        return bool(
            self.connection.execute(
                "SELECT 1 FROM segments WHERE table_name = ? AND number = ? AND damage IS NULL",
                (twin.table_name, twin.number),
            ).fetchall()
        )

    def _saved(self, place: Path, archived: Sequence[Twin]) -> pa.Table | None:
        """The rows of archived segments that can be read, by groups of rows; None where none can."""
        try:
            parquet = pq.ParquetFile(place, page_checksum_verification=True)
        except _UNREADABLE:
            return None
        groups = []
        with parquet:
            for number in range(parquet.num_row_groups):
                try:
                    groups.append(parquet.read_row_group(number))
                except _UNREADABLE:
                    continue
        if not groups:
            return None
        rows = pa.concat_tables(groups)
        wanted = [_within(rows, twin) for twin in archived]
        return pa.concat_tables(wanted)

    def _write(self, file: TwinFile, archived: Sequence[Twin], rows: pa.Table) -> tuple[TwinFile, list[Twin]]:
        kind = tables()[file.table_name]
        name = f"{archived[0].number:06d}-{archived[-1].number:06d}-{time.time_ns():x}.parquet"
        schema = files.schema_of(kind, self.identity, [twin.number for twin in archived])
        complete = pa.Table.from_arrays(
            [
                rows[column.name] if column.name in rows.column_names else pa.nulls(rows.num_rows, column.type)
                for column in schema
            ],
            schema=schema,
        )
        with self.folder.new_file(self.folder.table(kind.table), name) as made:
            with files.writer_of(made, kind, schema) as writer:
                writer.write_table(complete.sort_by("timestamp"), row_group_size=files.ROW_GROUP)
            made.flush()
            booked = TwinFile(
                table_name=kind.table,
                file=name,
                rows=rows.num_rows,
                bytes=os.fstat(made.fileno()).st_size,
                sha256=checksum(made),
                columns=",".join(schema.names),
                made_ns=file.made_ns,
            )
        return booked, [found for twin in archived if (found := _twin_of(twin, name, rows)) is not None]


def _within(rows: pa.Table, twin: Twin) -> pa.Table:
    return rows.filter((pc.field("id") >= twin.first_id) & (pc.field("id") <= twin.last_id))


def _twin_of(twin: Twin, name: str, rows: pa.Table) -> Twin | None:
    """The books of what is left of a segment; None where nothing is."""
    own = _within(rows, twin)
    if not own.num_rows:
        return None
    bounds = pc.min_max(own["timestamp"]).as_py()
    return Twin(
        twin.table_name,
        twin.number,
        name,
        own.num_rows,
        twin.first_id,
        twin.last_id,
        bounds["min"],
        bounds["max"],
        twin.edits,
    )


def rows_of_twin(path: Path, connection: apsw.Connection, table: str, number: int) -> dict[int, Row]:
    """The rows of a segment by id, from its twin, where that is fresh and whole; without the id. None of them else."""
    twin = next((twin for twin in books.load_twins(connection, table) if twin.number == number), None)
    if twin is None:
        return {}
    file = books.load_files(connection, table)[table, twin.file]
    place = path.with_name(f"{path.name}.twins") / table / twin.file
    if not _is_whole(place, file):
        return {}
    own = _within(pq.read_table(place), twin)
    names = [str(name) for (_, name, *_) in connection.execute(f'PRAGMA table_info("{table}__{number}")')]
    columns = [own[name].to_pylist() if name in own.column_names else [None] * own.num_rows for name in names]
    return {int(values[0]): values for values in zip(*columns, strict=True)}
