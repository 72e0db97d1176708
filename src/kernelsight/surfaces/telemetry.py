"""The door for Python: ``kernelsight.open(path)`` gives a :class:`Telemetry`, and that lazy tables of rows."""

from __future__ import annotations

import os
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from types import TracebackType
from typing import TYPE_CHECKING, Self

from kernelsight.errors import UsageError
from kernelsight.events.declare import Kind
from kernelsight.query.filters import Where, filters
from kernelsight.query.source import columns_named, kind_named, opened
from kernelsight.query.times import Time, TimeRange, parse_time
from kernelsight.stores.base import DEFAULT_DB_PATH, Reader, Value, open_reader
from kernelsight.surfaces.telemetry_tables import Tables

if TYPE_CHECKING:  # each takes a tenth of a second and more to import
    import pandas as pd
    import polars as pl
    import pyarrow as pa

    from kernelsight.diagnosis.model import Diagnosis


@dataclass(frozen=True, slots=True)
class Rows:
    """Rows of one table within a range of time. Nothing is read until they are asked for, and each time anew."""

    source: str
    kind: Kind
    since: Time
    until: Time
    where: Where
    columns: tuple[str, ...] | None

    def to_dicts(self) -> list[dict[str, Value]]:
        """One dict a row, by time: `timestamp` in ns since the epoch, flags as bool, addresses not negative.

        Raises:
            StoreError: the store cannot be read.
        """
        return list(self)

    def __iter__(self) -> Iterator[dict[str, Value]]:
        """As :meth:`to_dicts`, with few rows in memory at a time."""
        import pyarrow as pa  # noqa: PLC0415 - see above

        for batch in self.batches():
            stamps = batch.schema.get_field_index("timestamp")
            plain = batch.set_column(stamps, "timestamp", batch.column(stamps).cast(pa.int64()))
            yield from plain.to_pylist()

    def batches(self) -> Iterator[pa.RecordBatch]:
        """Batches of Apache Arrow by time, of 50,000 rows at most: for more rows than fit into memory.

        `timestamp` is a `timestamp[ns, UTC]`; the metadata of each column has its unit and meaning.
        """
        from kernelsight.query.record_batches import record_batches  # noqa: PLC0415 - see above

        with opened(self.source) as reader:
            yield from record_batches(reader, self.kind, self._when(), where=self.where, columns=self.columns)

    def to_arrow(self) -> pa.Table:
        """A table of Apache Arrow."""
        import pyarrow as pa  # noqa: PLC0415 - see above

        from kernelsight.query.record_batches import schema_of, wanted_columns  # noqa: PLC0415 - see above

        return pa.Table.from_batches(self.batches(), schema_of(self.kind, wanted_columns(self.kind, self.columns)))

    def to_pandas(self) -> pd.DataFrame:
        """A data frame of pandas, with `timestamp` as the index.

        Raises:
            UsageError: pandas is not installed.
        """
        with _needs("pandas"):
            frame: pd.DataFrame = self.to_arrow().to_pandas().set_index("timestamp")
        return frame

    def to_polars(self) -> pl.DataFrame:
        """A data frame of polars.

        Raises:
            UsageError: polars is not installed.
        """
        with _needs("polars"):
            import polars as pl  # noqa: PLC0415 - see above

            frame = pl.from_arrow(self.to_arrow())
        assert isinstance(frame, pl.DataFrame)  # a Series comes of an array alone
        return frame

    def _when(self) -> TimeRange:
        return TimeRange(parse_time(self.since), parse_time(self.until))


class Telemetry(Tables):
    """What is stored of one machine, or of several: a method for each table, and the questions that have a name."""

    def __init__(self, source: str | os.PathLike[str] = DEFAULT_DB_PATH) -> None:
        """Name the store; it is opened by each question, so that this may be kept for as long as one likes.

        Args:
            source: a file, or the URL of a store.

        Raises:
            StoreError: there is no store that can be read.
        """
        self.source = os.fspath(source)
        with opened(self.source):
            pass  # a wrong path is said here, and not in the middle of a program

    def __enter__(self) -> Self:
        """For `with`; there is nothing to close."""
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, where: TracebackType | None
    ) -> None:
        """Nothing."""

    def rows(
        self,
        table: str,
        since: Time = 0,
        until: Time = "now",
        *,
        where: Where = (),
        columns: Iterable[str] | str | None = None,
    ) -> Rows:
        """The rows of a table within a range, both ends included.

        Args:
            table: name of a table (`syscall_events`) or kind (`syscall`).
            since: where the range begins: a datetime, ns since the epoch, or text such as `1h` or `2026-11-23 14:00`.
            until: where it ends.
            where: conditions that all must hold, such as `"latency_ns>=10ms"` or `{"comm": "postgres"}`.
            columns: those wanted besides `timestamp`; all by default.

        Raises:
            UsageError: there is no such table or column, or that is no time.
        """
        kind = kind_named(table)
        names = None if columns is None else ((columns,) if isinstance(columns, str) else tuple(columns))
        rows = Rows(self.source, kind, since, until, where, names)
        _check(rows)
        return rows

    def diagnose(self, since: Time = "60s", until: Time = "now") -> Diagnosis:
        """What was wrong in a window, who did it, to whom, how sure that is, and what can be done.

        Raises:
            UsageError: the window is none.
            StoreError: the store cannot be read.
        """
        from kernelsight.diagnosis import diagnose  # noqa: PLC0415 - see above

        return diagnose(self.source, parse_time(since), parse_time(until))

    def reader(self) -> Reader:
        """A reader of the store, for the functions of :mod:`kernelsight.query` and plain SQL. Close it after use."""
        return open_reader(self.source)


def _check(rows: Rows) -> None:
    """Say at once what is wrong with a question, though nothing is read yet."""
    columns_named(rows.kind, rows.columns or ())
    filters(rows.kind, rows.where)
    start_ns, end_ns = parse_time(rows.since), parse_time(rows.until)
    if end_ns < start_ns:
        raise UsageError(f"the range ends before it begins: from {rows.since} to {rows.until}")


@contextmanager
def _needs(package: str) -> Iterator[None]:
    try:
        yield
    except ModuleNotFoundError as error:
        if error.name != package:
            raise
        raise UsageError(f"{package} is not installed; `pip install {package}`") from error
