"""What a database holds that may go: its full segments, and the columns of those whose rows are gone."""

from __future__ import annotations

from collections.abc import Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import pairwise

import apsw

from kernelsight.stores.sqlite.leaving import Held
from kernelsight.stores.sqlite.segments import Segment
from kernelsight.stores.sqlite.twins.books import Twin, TwinFile, load_files, load_twins

_NO_BYTES: Mapping[str, int] = {}


@dataclass(frozen=True, slots=True)
class Columns:
    """The twins of a database: those that say what the rows say, and those whose rows are gone."""

    twins: Mapping[tuple[str, int], Twin]
    """By table and number of the segment."""
    files: Mapping[tuple[str, str], TwinFile]

    @property
    def bytes(self) -> int:
        """Of all files, but for those that nobody needs any more: they are removed soon."""
        return sum(file.bytes for file in self.files.values() if file.retired_ns is None)

    def bytes_of(self, twin: Twin | None) -> int:
        """The share of a twin in its file."""
        file = self.files.get((twin.table_name, twin.file)) if twin else None
        return file.bytes * twin.rows // max(1, file.rows) if twin and file else 0


def load_columns(connection: apsw.Connection) -> Columns:
    """Read the books of twins."""
    return Columns({(twin.table_name, twin.number): twin for twin in load_twins(connection)}, load_files(connection))


def holdings(
    segments: Mapping[str, Sequence[Segment]],
    columns: Columns,
    tables: Collection[str],
    row_bytes: Mapping[str, int] = _NO_BYTES,
) -> list[Held]:
    """All that may go.

    Args:
        segments: of each table, oldest first, the hot one last; without those that are damaged.
        columns: the twins.
        tables: those that are declared.
        row_bytes: what tables take with their indexes, where that is known.
    """
    return [*_full(segments, columns, tables, row_bytes), *_archived(segments, columns, tables)]


def _full(
    segments: Mapping[str, Sequence[Segment]],
    columns: Columns,
    tables: Collection[str],
    row_bytes: Mapping[str, int],
) -> Iterator[Held]:
    for table in tables:
        for segment, following in pairwise(segments.get(table, ())):
            twin = columns.twins.get((table, segment.number))
            yield Held(
                table=table,
                number=segment.number,
                newest_ns=max(segment.last_timestamp or 0, following.opened_ns),
                arrived_ns=following.opened_ns,
                rows=segment.rows,
                has_rows=True,
                has_columns=twin is not None,
                row_bytes=row_bytes.get(segment.name, 0),
                column_bytes=columns.bytes_of(twin),
            )


def _archived(segments: Mapping[str, Sequence[Segment]], columns: Columns, tables: Collection[str]) -> Iterator[Held]:
    with_rows = {(segment.table_name, segment.number) for of_table in segments.values() for segment in of_table}
    for key, twin in columns.twins.items():
        if key in with_rows or twin.table_name not in tables:
            continue
        file = columns.files.get((twin.table_name, twin.file))
        yield Held(
            table=twin.table_name,
            number=twin.number,
            newest_ns=max(twin.last_timestamp, file.made_ns if file else 0),
            arrived_ns=file.made_ns if file else None,
            rows=twin.rows,
            has_rows=False,
            has_columns=True,
            column_bytes=columns.bytes_of(twin),
        )
