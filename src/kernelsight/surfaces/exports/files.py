"""Rows of a table as a file of another program: whole, or not there at all."""

from __future__ import annotations

import csv
import os
import tempfile
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from io import TextIOWrapper
from pathlib import Path
from typing import IO

import msgspec
import pyarrow as pa
import pyarrow.parquet as pq

from kernelsight.errors import KernelSightError
from kernelsight.events.declare import Kind
from kernelsight.query.filters import Where
from kernelsight.query.record_batches import Unreadable, record_batches, schema_of, wanted_columns
from kernelsight.query.times import TimeRange
from kernelsight.stores.base import Reader

Batches = Iterable[pa.RecordBatch]
_ENCODER = msgspec.json.Encoder()


@dataclass(slots=True)
class Written:
    """What became of an export."""

    rows: int = 0
    unreadable: dict[str, int] = field(default_factory=dict)
    """Values that are not of their column's type, and so are null, by column."""


def written(  # noqa: PLR0913 - a question has as many parts
    reader: Reader,
    kind: Kind,
    when: TimeRange,
    path: Path,
    format_: str,
    *,
    where: Where = (),
    columns: Sequence[str] | None = None,
    stdout: IO[bytes] | None = None,
) -> Written:
    """Write the rows of a kind within a range.

    Args:
        reader: of the store.
        kind: the kind.
        when: the range.
        path: the file; it is replaced at once when all is written.
        format_: one of `parquet`, `arrow`, `csv`, `ndjson`.
        where: conditions that all must hold.
        columns: those wanted besides `timestamp`; all by default.
        stdout: instead of the file.

    Raises:
        UsageError: no such column.
        StoreError: the store cannot be read.
        KernelSightError: the file cannot be written.
    """
    told, unreadable = Written(), Unreadable()

    def counted() -> Iterator[pa.RecordBatch]:
        for batch in record_batches(reader, kind, when, where=where, columns=columns, unreadable=unreadable):
            told.rows += batch.num_rows
            yield batch

    schema = schema_of(kind, wanted_columns(kind, columns))
    write = _WRITERS[format_]
    if stdout is not None:
        write(stdout, kind, schema, counted())
        stdout.flush()
    else:
        with _replacing(path) as file:
            write(file, kind, schema, counted())
    told.unreadable = unreadable.values
    return told


def _parquet(file: IO[bytes], kind: Kind, schema: pa.Schema, batches: Batches) -> None:
    del kind
    with pq.ParquetWriter(file, schema, compression="zstd") as writer:
        for batch in batches:
            writer.write_batch(batch)


def _arrow(file: IO[bytes], kind: Kind, schema: pa.Schema, batches: Batches) -> None:
    """The streaming format, which needs no end to be read."""
    del kind
    with pa.ipc.new_stream(file, schema) as writer:
        for batch in batches:
            writer.write_batch(batch)


def _csv(file: IO[bytes], kind: Kind, schema: pa.Schema, batches: Batches) -> None:
    """RFC 4180, with a line of names; nothing stands for null."""
    del kind
    text = TextIOWrapper(file, encoding="utf-8", newline="", write_through=True)
    writer = csv.writer(text)
    writer.writerow(schema.names)
    for batch in batches:
        writer.writerows(zip(*(column.to_pylist() for column in _in_ns(batch).columns), strict=True))
    text.detach()


def _ndjson(file: IO[bytes], kind: Kind, schema: pa.Schema, batches: Batches) -> None:
    """One event a line, as `collect` prints it: without columns that are null."""
    del schema
    for batch in batches:
        for row in _in_ns(batch).to_pylist():
            event = {"type": kind.name, **{name: value for name, value in row.items() if value is not None}}
            file.write(_ENCODER.encode(event))
            file.write(b"\n")


def _in_ns(batch: pa.RecordBatch) -> pa.RecordBatch:
    index = batch.schema.get_field_index("timestamp")
    return batch.set_column(index, "timestamp", batch.column(index).cast(pa.int64()))


_WRITERS: Mapping[str, Callable[[IO[bytes], Kind, pa.Schema, Batches], None]] = {
    "parquet": _parquet,
    "arrow": _arrow,
    "csv": _csv,
    "ndjson": _ndjson,
}


@contextmanager
def _replacing(path: Path) -> Iterator[IO[bytes]]:
    """A file that takes its name when all is written; of an export that fails, nothing stays."""
    try:
        descriptor, made = tempfile.mkstemp(dir=path.parent, prefix=f".{path.name}.")
    except OSError as error:
        raise KernelSightError(f"{path}: cannot be written: {error.strerror}") from error
    temporary = Path(made)
    try:
        with os.fdopen(descriptor, "wb") as file:
            yield file
            file.flush()
            umask = os.umask(0)
            os.umask(umask)
            os.fchmod(file.fileno(), 0o666 & ~umask)  # not by name: in a user's folder it may be another file by now
            os.fsync(file.fileno())
        temporary.replace(path)
    except OSError as error:
        raise KernelSightError(f"{path}: cannot be written: {error.strerror}") from error
    finally:
        temporary.unlink(missing_ok=True)
