"""Which way a question goes: by row, through the indexes of the store, or by column, which is for scans.

Both give the same answer. By column costs a start and a little a row, by row nothing and much a row; the figures are
judged, by what ``python benchmarks/query.py --way both`` prints on two cores. Where the way by column fails, the
question goes by row.
"""

from __future__ import annotations

import functools
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from contextvars import ContextVar
from dataclasses import dataclass
from typing import Literal, ParamSpec, TypeVar

from kernelsight.errors import ScanError
from kernelsight.query.times import TimeRange
from kernelsight.stores.base import Reader, Value, Volume

P = ParamSpec("P")
T = TypeVar("T")
Way = Literal["by row", "by column"]

ROW_NS = 600
"""For each row that a scan reads by row."""
COLUMN_NS = 40
"""For each row that a scan reads by column."""
ARCHIVED_NS = 3_000
"""For each row that a scan by row has to fetch from where it lies by column."""
COPY_NS = 3_000
"""For each row that has to be copied first, because it lies only by row."""
PART_NS = 1_500_000
"""For each file that is opened."""
START_NS = 400_000_000
"""To load what reads by column, once in a process."""
QUESTION_NS = 10_000_000
"""For each question by column."""


@dataclass(frozen=True, slots=True)
class Plan:
    """Which way a question went, and why."""

    tables: tuple[str, ...]
    way: Way
    because: str
    volume: Volume
    taken_ns: int

    def row(self) -> dict[str, Value]:
        """As a row that can be printed."""
        return {
            "tables": ", ".join(self.tables),
            "way": self.way,
            "because": self.because,
            "rows": self.volume.rows,
            "rows_by_column": self.volume.by_column,
            "files": self.volume.parts,
            "taken_ms": round(self.taken_ns / 1e6, 1),
        }


_PLANS: ContextVar[list[Plan] | None] = ContextVar("plans", default=None)
_SCANNING: ContextVar[bool] = ContextVar("scanning", default=False)
_ONLY: ContextVar[Way | None] = ContextVar("only", default=None)


@contextmanager
def planning() -> Iterator[list[Plan]]:
    """Give the plans of all questions that are asked while this is entered, as they are answered."""
    plans: list[Plan] = []
    token = _PLANS.set(plans)
    try:
        yield plans
    finally:
        _PLANS.reset(token)


@contextmanager
def only(way: Way) -> Iterator[None]:
    """While entered, questions go this way wherever it can answer them: for comparing the two."""
    token = _ONLY.set(way)
    try:
        yield
    finally:
        _ONLY.reset(token)


def explain(question: Callable[P, object], /, *args: P.args, **kwargs: P.kwargs) -> list[dict[str, Value]]:
    """Ask a question, and tell how it was answered instead of the answer: one row for each part of it.

    Args:
        question: a function of :mod:`kernelsight.query`.
        args: its arguments.
        kwargs: the same.
    """
    with planning() as plans:
        question(*args, **kwargs)
    return [plan.row() for plan in plans]


def explainable(question: Callable[P, list[dict[str, Value]]]) -> Callable[P, list[dict[str, Value]]]:
    """A question with an argument ``explain``: where that is true, it gives what :func:`explain` does."""

    @functools.wraps(question)
    def asked(*args: P.args, **kwargs: P.kwargs) -> list[dict[str, Value]]:
        if kwargs.pop("explain", False):
            return explain(question, *args, **kwargs)
        return question(*args, **kwargs)

    return asked


def scan(
    reader: Reader, parts: Sequence[tuple[str, TimeRange]], ask: Callable[[Reader], T], *, lookup: bool = False
) -> T:
    """Ask one of the readers of a store what needs all rows of some ranges.

    Args:
        reader: the store's.
        parts: the tables and ranges.
        ask: gives the answer, from either reader.
        lookup: an index finds what is asked for among the rows that lie by row.
    """
    if _SCANNING.get():
        return ask(reader)
    volume = functools.reduce(_added, (reader.volume(table, when.start_ns, when.end_ns) for table, when in parts))
    way, because = _chosen(volume, lookup=lookup)
    began = time.perf_counter_ns()
    tables = tuple(dict.fromkeys(table for table, _ in parts))
    columns = reader.by_column() if way == "by column" else None
    if columns is not None:
        try:
            answer = _ask_columns(columns, ask)
        except ScanError as error:
            because = f"by column it fails: {error}"
        else:
            _note(Plan(tables, "by column", because, volume, time.perf_counter_ns() - began))
            return answer
    answer = ask(reader)
    _note(Plan(tables, "by row", because, volume, time.perf_counter_ns() - began))
    return answer


def _ask_columns(columns: Reader, ask: Callable[[Reader], T]) -> T:
    token = _SCANNING.set(True)
    try:
        return ask(columns)
    finally:
        _SCANNING.reset(token)
        columns.close()


def _chosen(volume: Volume, *, lookup: bool) -> tuple[Way, str]:
    """The way that takes less time, and why, in a sentence."""
    if (way := _ONLY.get()) is not None:
        return way, "nothing else was asked for"
    if not volume.by_column:
        return "by row", f"none of {volume.rows:,} rows lies by column"
    if lookup and not volume.only_by_column:
        return "by row", "an index finds them"
    load_ns = 0 if volume.is_loaded else START_NS
    copied = volume.rows - volume.by_column
    in_rows = 0 if lookup else volume.rows - volume.only_by_column
    rows_ns = in_rows * ROW_NS + (volume.only_by_column * ARCHIVED_NS + load_ns if volume.only_by_column else 0)
    columns_ns = volume.by_column * COLUMN_NS + copied * COPY_NS + volume.parts * PART_NS + QUESTION_NS + load_ns
    way = "by column" if columns_ns < rows_ns else "by row"
    beside = f", {copied:,} of them copied first" if copied else ""
    archived = f", {volume.only_by_column:,} of them from files," if volume.only_by_column else ""
    return way, (
        f"to read {volume.rows:,} rows by row{archived} takes about {rows_ns / 1e6:,.0f} ms,"
        f" by column{beside} {columns_ns / 1e6:,.0f} ms"
    )


def _added(a: Volume, b: Volume) -> Volume:
    return Volume(
        a.rows + b.rows,
        a.by_column + b.by_column,
        a.parts + b.parts,
        a.only_by_column + b.only_by_column,
        is_loaded=a.is_loaded and b.is_loaded,
    )


def _note(plan: Plan) -> None:
    plans = _PLANS.get()
    if plans is not None:
        plans.append(plan)
