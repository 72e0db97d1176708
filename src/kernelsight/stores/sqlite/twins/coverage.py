"""Which rows of a range of time are in twins, and which only in segments."""

from __future__ import annotations

import os
import stat
from collections.abc import Collection
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

import apsw

from kernelsight.stores.sqlite import segments as segment_books
from kernelsight.stores.sqlite.segments import Segment
from kernelsight.stores.sqlite.twins.books import Twin, TwinFile, load_files, load_twins
from kernelsight.stores.sqlite.twins.folder import folder_of


@dataclass(frozen=True, slots=True)
class Usable:
    """A file of twins that is there as it was made, and what of it counts."""

    file: TwinFile
    twins: tuple[Twin, ...]
    """Those that overlap the range."""
    whole: bool
    """Whether all rows of the file are theirs."""


@dataclass(frozen=True, slots=True)
class Coverage:
    """The rows of one table in a range: in these files, and in these segments."""

    files: tuple[Usable, ...]
    segments: tuple[Segment, ...]
    lost: tuple[Twin, ...]
    """Archived, and their file is gone or is not what it was: nobody can read their rows."""


def coverage(
    connection: apsw.Connection,
    database: Path,
    table: str,
    span: tuple[int | None, int | None],
    hidden: Collection[int] = (),
) -> Coverage:
    """How the rows of a range lie.

    Args:
        connection: within one state of the database.
        database: its path.
        table: whose rows.
        span: the range, both ends included; None: without an end.
        hidden: segments that cannot be read; their twins can.
    """
    every = segment_books.load_table(connection, table)
    readable = {segment.number for segment in every if segment.damage is None} - {*hidden}
    known = load_files(connection, table)
    by_file: dict[str, list[Twin]] = {}
    for twin in load_twins(connection, table):
        by_file.setdefault(twin.file, []).append(twin)
    folder = folder_of(database) / table
    usable: list[Usable] = []
    missing: list[Twin] = []
    for name, twins in by_file.items():
        within = tuple(twin for twin in twins if twin.overlaps(*span))
        file = known.get((table, name))
        if within and file is not None and _is_as_made(folder / name, file):
            usable.append(Usable(file, within, sum(twin.rows for twin in within) == file.rows))
        else:
            missing += within
    twinned = {twin.number for part in usable for twin in part.twins}
    return Coverage(
        files=tuple(usable),
        segments=tuple(s for s in every if s.overlaps(*span) and s.number in readable - twinned),
        lost=tuple(twin for twin in missing if twin.number not in readable),
    )


def _is_as_made(path: Path, file: TwinFile) -> bool:
    """Whether a file is an ordinary one with the bytes that it had; what is in them, its pages' checksums tell."""
    with suppress(OSError):
        status = os.lstat(path)
        return stat.S_ISREG(status.st_mode) and status.st_size == file.bytes
    return False
