"""Rows of one table, lazily, in whichever form somebody wants them."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import TYPE_CHECKING

from kernelsight.errors import UsageError
from kernelsight.events.declare import Kind
from kernelsight.query.filters import Where
from kernelsight.query.source import opened
from kernelsight.query.times import Time, TimeRange, parse_time
from kernelsight.stores.base import Value

if TYPE_CHECKING:  # each takes a tenth of a second and more to import
    import pandas as pd
    import polars as pl
    import pyarrow as pa


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


@contextmanager
def _needs(package: str) -> Iterator[None]:
    try:
        yield
    except ModuleNotFoundError as error:
        if error.name != package:
            raise
        raise UsageError(f"{package} is not installed; `pip install {package}`") from error
