"""Archived rows of a file that was set aside as a whole: its columns are kept, and say whose they are.

It imports pyarrow: import it where it is used.
"""

from __future__ import annotations

from collections.abc import Collection, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

import apsw
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

from kernelsight.events.declare import Kind
from kernelsight.events.wire import tables
from kernelsight.stores.base import Row
from kernelsight.stores.sqlite.damage import DAMAGED
from kernelsight.stores.sqlite.ddl import segment_name
from kernelsight.stores.sqlite.twins.books import Twin, identity_of, load_all_twins
from kernelsight.stores.sqlite.twins.folder import folder_of, identity_in

_ROWS = 10_000
_UNREADABLE = (OSError, pa.ArrowException)


@dataclass(frozen=True, slots=True)
class Archived:
    """Rows that only a twin has."""

    kind: Kind
    twin: Twin
    place: Path

    @property
    def name(self) -> str:
        """What a person calls it."""
        return f"{self.twin.table_name}/{self.twin.file}"

    def rows(self) -> Iterator[Sequence[Row]]:
        """Rows, some at a time, without their ids; what cannot be read is left out."""
        try:
            parquet = pq.ParquetFile(self.place, page_checksum_verification=True)
        except _UNREADABLE:
            return
        with parquet:
            for number in range(parquet.num_row_groups):
                try:
                    group = parquet.read_row_group(number)
                except _UNREADABLE:
                    continue
                yield from self._of(group)

    def _of(self, group: pa.Table) -> Iterator[Sequence[Row]]:
        ids = pc.field("id")
        own = group.filter((ids >= self.twin.first_id) & (ids <= self.twin.last_id))
        for first in range(0, own.num_rows, _ROWS):
            some = own.slice(first, _ROWS)
            columns = [
                some[name].to_pylist() if name in some.column_names else [None] * some.num_rows
                for name in self.kind.column_names
            ]
            yield list(zip(*columns, strict=True))


def archived(database: Path, old: apsw.Connection, stored: Collection[str]) -> list[Archived]:
    """The archived rows of a file that was set aside.

    Args:
        database: the path that the file had.
        old: a connection to the file.
        stored: names of the segments that are in it.

    Returns:
        the oldest first; none where its books of twins cannot be read, or its folder is not found.
    """
    try:
        identity, twins = identity_of(old), load_all_twins(old)
    except (apsw.SQLError, ValueError, *DAMAGED):  # also of a version that had none
        return []
    folders = [folder_of(database), *sorted(database.parent.iterdir())]
    named = [folder for folder in folders if folder.name.startswith(folder_of(database).name)]
    folder = next((folder for folder in named if identity_in(folder) == identity), None)
    if folder is None:
        return []
    return [
        Archived(tables()[twin.table_name], twin, folder / twin.table_name / twin.file)
        for twin in twins
        if twin.table_name in tables() and segment_name(twin.table_name, twin.number) not in stored
    ]
