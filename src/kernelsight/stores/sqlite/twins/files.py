"""What is in a twin: the rows of a segment by column, ordered by time, and what they are rows of.

The encoding of a column follows from its declaration: differences for ids and stamps, a dictionary for labels, bytes by
their place for integers that go up and down, and plain values for counters and reals (apache/parquet-format,
Encodings.md); then zstd, which finds the values of an entity again that stand a few rows before. Of ten minutes of an
idle machine, differences would take 1.6 times as much for counters and 1.3 times for other integers, and bytes by their
place 1.2 times for reals. All integers
have 64 bits, and the columns that are unsigned in the kernel are signed as they are in the database.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from itertools import islice
from typing import BinaryIO

import apsw
import pyarrow as pa
import pyarrow.parquet as pq

from kernelsight.events.declare import Column, Counter, Kind, Label, StorageType
from kernelsight.stores.sqlite.ddl import quote, quoted
from kernelsight.stores.sqlite.schema import column_names
from kernelsight.stores.sqlite.segments import Segment

ROW_GROUP = 100_000
"""Rows that are compressed together: the least that a reader of one column reads."""
_BATCH = 10_000
"""Rows that are in memory as Python objects."""
_LEVEL = 3
"""Of zstd."""

_TYPES: dict[StorageType, pa.DataType] = {
    "INTEGER": pa.int64(),
    "REAL": pa.float64(),
    "TEXT": pa.string(),
    "BOOLEAN": pa.int64(),
}
UNREADABLE = (pa.ArrowInvalid, pa.ArrowTypeError, OverflowError, UnicodeError)
"""What is raised where a value in a segment is not of its column's type: another client wrote past the views."""


def schema_of(kind: Kind, identity: str, numbers: Sequence[int]) -> pa.Schema:
    """The columns of a twin, and in its metadata what they are: a file is complete by itself."""
    fields = [pa.field("id", pa.int64(), nullable=False)]
    fields += [pa.field(column.name, _TYPES[column.type], nullable=not column.required) for column in kind.columns]
    metadata = {
        "kernelsight.table": kind.table,
        "kernelsight.kind": kind.name,
        "kernelsight.segments": ",".join(map(str, numbers)),
        "kernelsight.database": identity,
        "kernelsight.layout": "1",
    }
    return pa.schema(fields, metadata=metadata)


def writer_of(file: BinaryIO, kind: Kind, schema: pa.Schema) -> pq.ParquetWriter:
    """A writer with the encodings that follow from the declaration."""
    encodings = {"id": "DELTA_BINARY_PACKED"}
    dictionaries = []
    for column in kind.columns:
        if _is_label(column):
            dictionaries.append(column.name)
        elif column.name == "timestamp":
            encodings[column.name] = "DELTA_BINARY_PACKED"
        else:
            repeats = column.type == "REAL" or isinstance(column.semantics, Counter)
            encodings[column.name] = "PLAIN" if repeats else "BYTE_STREAM_SPLIT"
    return pq.ParquetWriter(
        file,
        schema,
        compression="zstd",
        compression_level=_LEVEL,
        use_dictionary=dictionaries,
        column_encoding=encodings,
        write_page_checksum=True,
        write_page_index=True,
    )


def _is_label(column: Column) -> bool:
    return column.name != "timestamp" and (isinstance(column.semantics, Label) or column.type in {"TEXT", "BOOLEAN"})


def write_segment(
    connection: apsw.Connection, kind: Kind, segment: Segment, file: BinaryIO, identity: str
) -> tuple[int, int, int]:
    """Write the rows of a segment.

    Returns:
        how many there are, and the first and the last stamp.

    Raises:
        UNREADABLE: a value is not of its column's type.
    """
    schema = schema_of(kind, identity, [segment.number])
    rows, first, last = 0, None, None
    with writer_of(file, kind, schema) as writer:
        for group in _groups(_read(connection, kind, segment), schema):
            writer.write_table(group, row_group_size=ROW_GROUP)
            rows += group.num_rows
            stamps = group["timestamp"]
            first = stamps[0].as_py() if first is None else first
            last = stamps[-1].as_py()
    return rows, first or 0, last or 0


def _read(connection: apsw.Connection, kind: Kind, segment: Segment) -> Iterator[tuple[apsw.SQLiteValue, ...]]:
    """The rows by time. Where all came in order, ids are stamps, and the table is read as it lies."""
    stored = set(column_names(connection, segment.name))
    selected = ", ".join(
        quote(name) if name in stored else f"NULL AS {quote(name)}" for name in ("id", *kind.column_names)
    )
    order = "id" if segment.late_ns == segment.early_ns == 0 else quoted(("timestamp", "id"))
    return connection.execute(f"SELECT {selected} FROM {quote(segment.name)} ORDER BY {order}")


def _groups(rows: Iterable[tuple[apsw.SQLiteValue, ...]], schema: pa.Schema) -> Iterator[pa.Table]:
    waiting = iter(rows)
    while batches := list(islice(_batches(waiting, schema), ROW_GROUP // _BATCH)):
        yield pa.Table.from_batches(batches, schema)


def _batches(rows: Iterator[tuple[apsw.SQLiteValue, ...]], schema: pa.Schema) -> Iterator[pa.RecordBatch]:
    while some := list(islice(rows, _BATCH)):
        columns = zip(*some, strict=True)
        arrays = [pa.array(column, type=field.type) for column, field in zip(columns, schema, strict=True)]
        yield pa.RecordBatch.from_arrays(arrays, schema=schema)
