"""Which rows, columns or rollups go next: a pure choice from what is held, the limits and the time.

Whole segments go. A segment is as old as its newest row, by stamp or by arrival, whichever is later: old rows that are
stored today stay for as long as new ones. A stamp that lies in the future says nothing: then the arrival counts, so
that no stamp keeps a segment for good. Over the budget, the first thing to go is what is kept twice: SQL rows whose
columns are there, while rows take more than half of it. Then rollups go while they take more than a quarter, and then
the oldest of everything.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Literal

from kernelsight.events.declare import Kind
from kernelsight.stores.limits import LimitName, Limits

SETTLED_NS = 600 * 10**9
"""Rows that are younger than this do not go, whatever the budget says."""
SHARE_OF_ROWS = 1 / 2
SHARE_OF_ROLLUPS = 1 / 4
What = Literal["rows", "columns", "rows and columns", "rollups"]


@dataclass(frozen=True, slots=True)
class Held:
    """A full segment, or the columns that remain of one."""

    table: str
    number: int
    newest_ns: int
    """When its last row was stamped or arrived, whichever is later."""
    rows: int
    has_rows: bool
    has_columns: bool
    """They say what the rows say."""
    row_bytes: int = 0
    column_bytes: int = 0
    arrived_ns: int | None = None
    """When its last row arrived at the latest; None: not known."""

    def last_ns(self, now_ns: int) -> int:
        """From when on it is as old as the limits say."""
        return self.newest_ns if self.newest_ns <= now_ns or self.arrived_ns is None else self.arrived_ns

    @property
    def tiers(self) -> What:
        """What there is of it."""
        if self.has_rows:
            return "rows and columns" if self.has_columns else "rows"
        return "columns"


@dataclass(frozen=True, slots=True)
class Usage:
    """Bytes on disk."""

    rows: int
    """Of SQL rows and the books; the write-ahead log is not counted, as nothing that goes makes it shorter."""
    columns: int
    rollups: int

    @property
    def total(self) -> int:
        """Of everything."""
        return self.rows + self.columns + self.rollups


@dataclass(frozen=True, slots=True)
class Choice:
    """What goes, and which limit says so."""

    what: What
    because: LimitName
    held: Held | None = None
    """None: the oldest rollups."""


def choose(held: Sequence[Held], kinds: Mapping[str, Kind], limits: Limits, usage: Usage, now_ns: int) -> Choice | None:
    """What goes next; None: all limits are kept, or nothing is left that may go.

    Args:
        held: what there is, in any order.
        kinds: the declarations, by table.
        limits: of the store.
        usage: bytes on disk now.
        now_ns: the time by a clock that is believed.
    """
    ordered = sorted(held, key=lambda item: item.last_ns(now_ns))
    settled = [item for item in ordered if now_ns - item.last_ns(now_ns) > SETTLED_NS]
    return _too_old(ordered, kinds, limits, now_ns) or _too_much(settled, kinds, limits, usage)


def _too_old(ordered: Sequence[Held], kinds: Mapping[str, Kind], limits: Limits, now_ns: int) -> Choice | None:
    for item in ordered:
        kind = kinds[item.table]
        age_ns = now_ns - item.last_ns(now_ns)
        if _is_over(limits.of(kind, "keep"), age_ns):
            return Choice(item.tiers, "keep", item)
        if item.has_rows and item.has_columns and _is_over(limits.of(kind, "keep_sql"), age_ns):
            return Choice("rows", "keep_sql", item)
    return None


def _is_over(keep_ns: int | None, age_ns: int) -> bool:
    return keep_ns is not None and age_ns > keep_ns


def _too_much(ordered: Sequence[Held], kinds: Mapping[str, Kind], limits: Limits, usage: Usage) -> Choice | None:
    budget = limits.max_disk
    if budget is None or usage.total <= budget:
        return None
    twice = next((item for item in ordered if item.has_rows and item.has_columns), None)
    if twice is not None and usage.rows > budget * SHARE_OF_ROWS:
        return Choice("rows", "max_disk", twice)
    if usage.rollups > budget * SHARE_OF_ROLLUPS:
        return Choice("rollups", "max_disk")
    oldest = next((item for item in ordered if not kinds[item.table].lasting), None)
    if oldest is None:
        return Choice("rollups", "max_disk") if usage.rollups else None
    what: What = "rows" if oldest.has_rows else "columns"
    return Choice(what, "max_disk", oldest)
