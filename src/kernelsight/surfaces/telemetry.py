"""The door for Python: ``kernelsight.open(path)`` gives a :class:`Telemetry`, and that lazy tables of rows."""

from __future__ import annotations

import os
from collections.abc import Iterable
from types import TracebackType
from typing import TYPE_CHECKING, Self

from kernelsight.errors import UsageError
from kernelsight.query.filters import Where, filters
from kernelsight.query.source import columns_named, kind_named, opened
from kernelsight.query.times import Time, parse_time
from kernelsight.stores.base import DEFAULT_DB_PATH, Reader, open_reader
from kernelsight.surfaces.telemetry_rows import Rows
from kernelsight.surfaces.telemetry_tables import Tables

if TYPE_CHECKING:  # each takes a tenth of a second and more to import
    from kernelsight.diagnosis.model import Diagnosis


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
