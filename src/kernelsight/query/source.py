"""What may be asked: a reader, a path or URL, or anything that can give a reader."""

from __future__ import annotations

import os
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from typing import Protocol, runtime_checkable

from kernelsight.errors import UsageError
from kernelsight.events.declare import Column, Kind
from kernelsight.events.wire import kinds, tables
from kernelsight.query.times import TimeRange, parse_time
from kernelsight.stores.base import Reader, open_reader
from kernelsight.stores.missing import tell_missing


@runtime_checkable
class Readable(Protocol):
    """Something that is not a reader but has one; the reader stays its own."""

    def reader(self) -> Reader:
        """A reader that sees what this object sees."""


AHEAD_NS = 10 * 10**9
"""Stamps may be ahead of this clock by so much: the clocks of two machines differ."""

Source = Reader | Readable | str | os.PathLike[str]


@contextmanager
def opened(source: Source) -> Iterator[Reader]:
    """Give the reader of a source; one that is opened here, from a path or URL, is closed here.

    Raises:
        StoreError: it cannot be opened.
    """
    if isinstance(source, Reader):
        yield source
    elif isinstance(source, Readable):
        yield source.reader()
    else:
        reader = open_reader(os.fspath(source))
        try:
            yield reader
            tell_missing(reader)
        finally:
            reader.close()


def kind_named(table: str) -> Kind:
    """The kind of a table, found by the table's name or by the kind's.

    Raises:
        UsageError: there is none; the message names the nearest.
    """
    kind = tables().get(table) or kinds().get(table)
    if kind is None:
        raise UsageError(f"no table is called {table!r}{_nearest(table, [*tables(), *kinds()])}")
    return kind


def column_named(kind: Kind, name: str) -> Column:
    """A column of a kind.

    Raises:
        UsageError: there is none; the message names the nearest.
    """
    column = kind.by_name.get(name)
    if column is None:
        raise UsageError(f"{kind.table} has no column {name!r}{_nearest(name, kind.column_names)}")
    return column


def columns_named(kind: Kind, names: Iterable[str] | str) -> tuple[str, ...]:
    """Columns of a kind, one (as text) or several.

    Raises:
        UsageError: there is no such column.
    """
    return tuple(column_named(kind, name).name for name in ([names] if isinstance(names, str) else names))


def clipped(reader: Reader, table: str, when: TimeRange) -> TimeRange | None:
    """The part of a range in which the table has rows; None where it has none."""
    bounds = reader.bounds(table)
    if bounds is None or bounds[1] < when.start_ns or bounds[0] > when.end_ns:
        return None
    return TimeRange(max(when.start_ns, bounds[0]), min(when.end_ns, bounds[1]))


def extent(reader: Reader, names: Iterable[str]) -> TimeRange | None:
    """From the first to the last stamp of some tables; None where they are empty.

    Rows stamped ahead of this clock wait until their time comes, except where all are: then the clock is behind.
    """
    bounds = [span for table in names if (span := reader.bounds(table))]
    if not bounds:
        return None
    first_ns, last_ns = min(first for first, _ in bounds), max(last for _, last in bounds)
    now_ns = parse_time("now") + AHEAD_NS
    return TimeRange(first_ns, min(last_ns, now_ns) if first_ns <= now_ns else last_ns)


def _nearest(wrong: str, names: Iterable[str]) -> str:
    from difflib import get_close_matches  # noqa: PLC0415 - for an error alone

    near = get_close_matches(wrong, list(names), n=3)
    return f"; did you mean {' or '.join(near)}?" if near else f"; there are {', '.join(sorted(names))}"
