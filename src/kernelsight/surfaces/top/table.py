"""What a view of the screen is: declared columns over rows that are made of one second."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, field
from typing import Any

from kernelsight.printable import printable
from kernelsight.quantities import number, quantity
from kernelsight.surfaces.top.look import Look

Cell = float | str | None
Cells = tuple[Cell, ...]

LONGEST_NAME = 200


@dataclass(frozen=True, slots=True)
class Head:
    """One column: its title, its least width, and how its values are written."""

    title: str
    width: int
    unit: str = ""
    """Of numbers, as columns declare it; `id` for those that only name something, `text` for names, `path` for those
    whose end tells more than their beginning."""
    stretches: bool = False
    """Takes the width that is left; at most one of a view."""

    @property
    def is_text(self) -> bool:
        """Whether it stands left and is sorted from A to Z."""
        return self.unit in {"text", "path"}

    def text(self, cell: Cell) -> str:
        """A value as it is shown: printable, and without what a terminal or markup would take for a command."""
        if cell is None:
            return "·"
        if isinstance(cell, str):
            return printable(cell[:LONGEST_NAME])
        if self.unit == "id":
            return str(round(cell))
        if self.unit == "%":
            return f"{cell:.0f}" if abs(cell) >= 10 else f"{cell:.1f}"
        return quantity(cell, self.unit) if self.unit and not self.is_text else number(round(cell, 1))


@dataclass(frozen=True, slots=True)
class Row:
    """A line of a view, and what tells it from others from one second to the next."""

    key: object
    cells: Cells


@dataclass(frozen=True, slots=True, kw_only=True)
class View:
    """A page of the screen."""

    name: str
    key: str
    """On which it is shown."""
    heads: tuple[Head, ...]
    rows: Callable[[Look], Iterable[Row]]
    sorts_by: int
    """The column by which it is sorted first."""
    empty: str
    """Why it may have no rows."""


@dataclass(slots=True)
class Order:
    """How a view is sorted and filtered; each view keeps its own."""

    column: int
    is_up: bool = False
    wanted: str = ""
    """What the text of a row must hold, whatever its case."""


@dataclass(frozen=True, slots=True)
class Shown:
    """The rows of a view in their order."""

    rows: Sequence[Row]
    of: int
    """How many there are without the filter."""
    texts: Sequence[tuple[str, ...]] = field(default_factory=tuple)


def shown(view: View, look: Look, order: Order) -> Shown:
    """The rows of one second, filtered and sorted; what is not known comes last."""
    rows = list(view.rows(look))
    kept = [row for row in rows if _has(view, row, order.wanted)] if order.wanted else rows
    head = view.heads[order.column]

    def place(row: Row) -> Any:
        cell = row.cells[order.column]
        if head.is_text or isinstance(cell, str):
            return (cell is None, str(cell or "").lower())
        return (cell is None, cell if order.is_up else -(cell or 0.0))

    kept.sort(key=place, reverse=head.is_text and order.is_up)
    return Shown(kept, len(rows))


def _has(view: View, row: Row, wanted: str) -> bool:
    return any(wanted.lower() in head.text(cell).lower() for head, cell in zip(view.heads, row.cells, strict=True))


def line(view: View, texts: Sequence[str], width: int) -> str:
    """A row of texts in the columns of a view, as wide as the screen."""
    rest = width - sum(head.width + 1 for head in view.heads)
    parts = []
    for head, text in zip(view.heads, texts, strict=True):
        size = head.width + (max(rest, 0) if head.stretches else 0)
        cut = text if len(text) <= size else (f"…{text[1 - size :]}" if head.unit == "path" else text[:size])
        parts.append(cut.ljust(size) if head.is_text else cut.rjust(size))
    return " ".join(parts)[:width]
