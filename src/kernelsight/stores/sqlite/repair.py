"""A whole database from a damaged one: what is whole is copied, and rows of damaged segments are taken from elsewhere.

They come from the segment's columns where these say the same, else from its pages.

Nothing is written to the damaged file but that its damaged segments are set aside. The new file takes its place at
the end; the damaged one is kept beside it unless every row was recovered.
"""

from __future__ import annotations

import mmap
import os
import stat
from collections.abc import Iterator
from contextlib import closing, contextmanager, suppress
from dataclasses import dataclass, replace
from pathlib import Path

import apsw

from kernelsight.errors import StoreError
from kernelsight.events.wire import tables
from kernelsight.stores.base import Row
from kernelsight.stores.damage import Recovered, Repaired
from kernelsight.stores.sqlite import segments as segment_books
from kernelsight.stores.sqlite.connect import PAGE_BYTES, integer, make_file, translated
from kernelsight.stores.sqlite.damage import DAMAGED
from kernelsight.stores.sqlite.ddl import quote
from kernelsight.stores.sqlite.leaves import Cells, DamagedPageError, Pages
from kernelsight.stores.sqlite.lock import WriterLock
from kernelsight.stores.sqlite.segments import Segment
from kernelsight.stores.sqlite.twins.books import load_twins
from kernelsight.stores.sqlite.whereabouts import Whereabouts
from kernelsight.stores.sqlite.writer import SqliteWriter

_BUDGET_S = 3600.0
_TYPES: dict[str, tuple[type, ...]] = {"INTEGER": (int,), "REAL": (int, float), "TEXT": (str,)}


@dataclass(slots=True)
class _Wanted:
    """A damaged segment, and its rows as they are found."""

    segment: Segment
    types: list[str]
    rows: dict[int, Row]

    def fits(self, cells: Cells) -> bool:
        """Whether all rows of a page can be of this segment."""
        return all(self._fits(row_id, values) for row_id, values in cells)

    def _fits(self, row_id: int, values: Row) -> bool:
        segment = self.segment
        if segment.last_id is None or not segment.first_id <= row_id <= segment.last_id:
            return False
        if not 2 <= len(values) <= len(self.types) or values[0] is not None:
            return False
        return all(
            value is None or isinstance(value, _TYPES.get(kind, (object,)))
            for value, kind in zip(values[1:], self.types[1:], strict=False)
        )


def repair(path: Path) -> Repaired:
    """Recover what can be read; nobody may be writing.

    Raises:
        StoreBusyError: somebody writes to it.
        StoreError: it cannot be read, or a new file cannot be written beside it: everything is as it was.
    """
    if not path.is_file():
        raise StoreError(f"{path}: no such database")
    with closing(SqliteWriter(path)) as writer:
        writer.set_damaged_aside()
    with translated(path):
        wanted, foreign = _damaged_segments(path)
        if not wanted and _is_whole(path):
            return Repaired(str(path))
        _take_from_twins(path, wanted)
        if others := [item for item in wanted if not item.rows]:
            _collect(path, others, foreign)
    lock = WriterLock(path)
    new = path.with_name(f"{path.name}.repaired")
    try:
        with translated(new):
            new.unlink(missing_ok=True)
            parts = _copy(path, new, wanted)
        aside = _exchange(path, new)
    finally:
        new.unlink(missing_ok=True)
        lock.release()
    with closing(SqliteWriter(path)) as writer:
        while writer.unsealed():
            writer.maintain(budget_s=_BUDGET_S)
    repaired = Repaired(str(path), parts)
    if repaired.is_complete:
        aside.unlink()
        return repaired
    return replace(repaired, kept=str(aside))


def _is_whole(path: Path) -> bool:
    """Whether nothing beside the segments is damaged."""
    with _connected(path) as connection:
        try:
            return connection.execute("PRAGMA integrity_check(1)").fetchall() == [("ok",)]
        except DAMAGED:
            return False


def _damaged_segments(path: Path) -> tuple[list[_Wanted], set[int]]:
    """The segments that were set aside, and the pages of everything else."""
    with _connected(path) as connection:
        wanted = [
            _Wanted(segment, _column_types(connection, segment.name), {})
            for segments in segment_books.load(connection).values()
            for segment in segments
            if segment.damage is not None
        ]
        names = [item.segment.name for item in wanted]
        others = connection.execute(
            f"SELECT name FROM sqlite_master WHERE rootpage AND tbl_name NOT IN ({', '.join('?' * len(names))})",
            tuple(names),
        ).fetchall()
        foreign: set[int] = set()
        for (name,) in others:
            try:
                foreign.update(
                    page for (page,) in connection.execute("SELECT pageno FROM dbstat WHERE name = ?", (name,))
                )
            except apsw.CorruptError:
                continue  # its rows do not fit a segment's ids
        return wanted, foreign


def _take_from_twins(path: Path, wanted: list[_Wanted]) -> None:
    """Rows of which there are columns that say the same are taken from these."""
    with _connected(path) as connection:
        twinned = {(twin.table_name, twin.number) for twin in load_twins(connection)}
        wanted = [item for item in wanted if (item.segment.table_name, item.segment.number) in twinned]
        if not wanted:
            return
        from kernelsight.stores.sqlite.twins.repairing import rows_of_twin  # noqa: PLC0415 - with it comes pyarrow

        for item in wanted:
            item.rows.update(rows_of_twin(path, connection, item.segment.table_name, item.segment.number))


def _column_types(connection: apsw.Connection, table: str) -> list[str]:
    return [str(kind) for (kind,) in connection.execute("SELECT type FROM pragma_table_info(?)", (table,))]


@contextmanager
def _connected(path: Path) -> Iterator[apsw.Connection]:
    connection = apsw.Connection(str(path))
    try:
        yield connection
    finally:
        connection.close(True)


def _collect(path: Path, wanted: list[_Wanted], foreign: set[int]) -> None:
    """Find the rows of damaged segments in the leaves that nothing else owns; no connection may be open here."""
    with (
        path.open("rb") as file,
        mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ) as content,
        memoryview(content) as view,
    ):
        pages = Pages(view, PAGE_BYTES)
        for number in sorted({*range(2, pages.count + 1)} - foreign - pages.free()):
            with suppress(DamagedPageError):
                _give(pages.rows(number), wanted)


def _give(cells: Cells, wanted: list[_Wanted]) -> None:
    """Give the rows of a page to the one segment that they fit."""
    owners = [item for item in wanted if item.fits(cells)]
    exact = [item for item in owners if len(cells[0][1]) == len(item.types)]
    for candidates in (exact, owners):
        if len(candidates) == 1:
            candidates[0].rows.update(cells)
            return


def _copy(path: Path, new: Path, wanted: list[_Wanted]) -> tuple[Recovered, ...]:
    """Make the new file."""
    by_name = {item.segment.name: item for item in wanted}
    parts: list[Recovered] = []
    make_file(new, stat.S_IMODE(path.stat().st_mode))
    with _connected(path) as old, _connected(new) as connection:
        connection.execute(f"PRAGMA page_size = {PAGE_BYTES}").fetchall()
        connection.execute("PRAGMA auto_vacuum = INCREMENTAL").fetchall()
        items = old.execute("SELECT type, name, sql FROM sqlite_master WHERE sql NOT NULL").fetchall()
        statements = {
            kind: [
                (str(name), str(sql)) for has, name, sql in items if has == kind and not str(name).startswith("sqlite_")
            ]
            for kind in ("table", "index", "view", "trigger")
        }
        with connection:
            for name, sql in statements["table"]:
                connection.execute(sql)
                if name in by_name:
                    parts.append(_fill(connection, by_name[name]))
                elif not _copy_rows(old, connection, name):
                    parts.append(Recovered(name, integer(connection, f"SELECT count(*) FROM {quote(name)}") or 0, None))
            for item in wanted:
                _correct_books(connection, item)
            for kind in ("index", "view", "trigger"):
                for _, sql in statements[kind]:
                    connection.execute(sql)
        said = connection.execute("PRAGMA integrity_check").fetchall()
        if said != [("ok",)]:
            raise StoreError(f"{new}: is not whole ({said[0][0]}); the damaged file stays as it is")
    return tuple(parts)


def _copy_rows(old: apsw.Connection, connection: apsw.Connection, name: str) -> bool:
    """Copy the rows of a table; False where damage is met, which ends it."""
    marks = ", ".join("?" * len(_column_types(old, name)))
    try:
        connection.executemany(
            f"INSERT INTO {quote(name)} VALUES ({marks})", old.execute(f"SELECT * FROM {quote(name)}")
        )
    except DAMAGED:
        return False
    return True


def _fill(connection: apsw.Connection, item: _Wanted) -> Recovered:
    """Put the rows that were found into their segment."""
    width = len(item.types)
    rows = [(row_id, *values[1:], *[None] * (width - len(values))) for row_id, values in sorted(item.rows.items())]
    marks = ", ".join("?" * width)
    connection.executemany(f"INSERT INTO {quote(item.segment.name)} VALUES ({marks})", rows)
    return Recovered(item.segment.name, len(rows), max(0, item.segment.rows - len(rows)))


def _correct_books(connection: apsw.Connection, item: _Wanted) -> None:
    """A segment has the rows that were found; the others count as dropped."""
    segment, name = item.segment, quote(item.segment.name)
    lost = segment.rows - len(item.rows)
    segment.rows, segment.damage, segment.full, segment.stale = len(item.rows), None, True, False
    segment.first_timestamp = integer(connection, f"SELECT min(timestamp) FROM {name}")
    segment.last_timestamp = integer(connection, f"SELECT max(timestamp) FROM {name}")
    segment_books.save(connection, [segment])
    connection.execute(
        "UPDATE collectors SET stored = stored - ?1, dropped = dropped + ?1 WHERE kind = ?2 AND stored >= ?1",
        (lost, tables()[segment.table_name].name),
    )


def _exchange(path: Path, new: Path) -> Path:
    """Put the new file in the place of the damaged one; give where that is now."""
    if os.geteuid() == 0:
        owner = path.stat()
        os.chown(new, owner.st_uid, owner.st_gid)
    try:
        aside = Whereabouts(path).clear()
        assert aside is not None
        kept = aside.with_name(aside.name.replace(".damaged-", ".before-repair-"))
        aside.rename(kept)
        new.rename(path)
    except OSError as error:
        raise StoreError(f"{path}: the repaired file {new} cannot take its place: {error.strerror}") from error
    return kept
