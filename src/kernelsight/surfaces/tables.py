"""Rows on a terminal: the columns that fit by their importance, one row vertically, numbers with their units."""

from __future__ import annotations

import re
import textwrap
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from kernelsight.events.declare import Kind, Label
from kernelsight.printable import printable
from kernelsight.quantities import number, quantity

Row = Mapping[str, Any]

_GAP = 2
_TIME = re.compile(r"\d{4}-\d\d-\d\dT")
_NOTHING = (None, 0, "")
_NARROWEST = 16
"""To which a column of text is folded before it is left out."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Shape:
    """What is known of a table's columns beside their names."""

    units: Mapping[str, str] = field(default_factory=dict)
    """Of numbers, by column."""
    by_row: Sequence[str] = ()
    """Numbers whose unit stands in the row itself, as `unit`, which is then not shown apart."""
    first: Sequence[str] = ()
    """The most important columns, in this order; the others come in their own."""
    with_units: bool = False
    """In a pipe, where numbers are exact, the head names their units."""
    wide: bool = False
    """All columns, however wide."""
    chosen: bool = False
    """The columns are what the person asked for: all of them are shown."""


def shape_of(kind: Kind, *first: str) -> Shape:
    """The shape of rows of a kind: when, of whom, then what was asked for, then the other measurements.

    Args:
        kind: whose columns the rows have.
        first: columns that were asked about.
    """
    units = {column.name: column.unit for column in kind.columns if not isinstance(column.semantics, Label)}
    names = [name for name in ("comm", *kind.entity) if name in kind.by_name and name != "start_ticks"]
    return Shape(units=units, first=("time", *names, *first, *units))


def headed(name: str, shape: Shape | None) -> str:
    """The head of a column in a pipe."""
    unit = shape.units.get(name) if shape is not None and shape.with_units else None
    return f"{name} ({unit})" if unit else name


def cell(value: Any, unit: str | None = None) -> str:
    """A value for a person; control characters, which a thread's name may hold, are made visible."""
    if value is None:
        return "-"
    if unit is not None and isinstance(value, (int, float)) and not isinstance(value, bool):
        return quantity(value, unit)
    if isinstance(value, float):
        return number(value)
    return printable(str(value))


def vertical(row: Row, names: Sequence[str], shape: Shape) -> Iterator[str]:
    """One row as lines, a column each; those without a value are left out."""
    shown = [name for name in _by_importance([row], names, shape, whole=True) if row.get(name) is not None]
    width = max(map(len, shown), default=0)
    return (f"{name:<{width}}  {cell(row[name], _unit(row, name, shape))}" for name in shown)


def _unit(row: Row, name: str, shape: Shape) -> str | None:
    """The unit of a number, empty where the column's name says it; None where it is none that has one."""
    unit = str(row.get("unit") or "") if name in shape.by_row else shape.units.get(name)
    return "" if unit and unit in name.split("_") else unit


def laid_out(rows: Sequence[Row], names: Sequence[str], shape: Shape, width: int) -> tuple[list[str], list[str]]:
    """Rows as lines of at most so many characters, the head first, and the names of the columns that do not fit."""
    whole = shape.wide or shape.chosen
    columns = {name: _Column(name, rows, shape) for name in _by_importance(rows, names, shape, whole=whole)}
    left_out: list[str] = []
    widths: dict[str, int] = {}
    for name, column in columns.items():
        rest = width - sum(widths.values()) - _GAP * len(widths)
        if whole or column.width <= rest:
            widths[name] = column.width
        elif column.folds and rest >= _NARROWEST:
            widths[name] = rest
        elif column.folds and (room := _made_room(widths, columns, rest)):
            widths[name] = room
        else:
            left_out.append(name)
    shown = [name for name in columns if name in widths]
    return list(_lines([columns[name] for name in shown], [widths[name] for name in shown])), left_out


def _made_room(widths: dict[str, int], columns: Mapping[str, _Column], rest: int) -> int:
    """Fold the widest columns of text further, so that another one has room beside it; 0 where it cannot."""
    wanted = _NARROWEST + _GAP - rest
    spare = {name: width - _NARROWEST for name, width in widths.items() if columns[name].folds}
    if sum(spare.values()) < wanted:
        return 0
    for name in sorted(spare, key=lambda name: -spare[name]):
        given = min(spare[name], wanted)
        widths[name] -= given
        wanted -= given
    return _NARROWEST


def _by_importance(rows: Sequence[Row], names: Sequence[str], shape: Shape, *, whole: bool) -> list[str]:
    if shape.chosen:
        return list(names)
    unit = {"unit"} if shape.by_row else set()
    ranked = [name for name in dict.fromkeys((*shape.first, *names)) if name in names and name not in unit]
    ranked.sort(key="id".__eq__)  # the number of a row tells people least
    if whole:
        return ranked
    if "time" in ranked:
        ranked = [name for name in ranked if name != "timestamp"]
    known = [name for name in ranked if any(row.get(name) is not None for row in rows)] or ranked
    return sorted(known, key=lambda name: all(row.get(name) in _NOTHING for row in rows))


class _Column:
    """The cells of one column."""

    def __init__(self, name: str, rows: Sequence[Row], shape: Shape) -> None:
        from rich.cells import cell_len  # noqa: PLC0415 - only a terminal needs it

        values = [row.get(name) for row in rows]
        self.name = printable(name)
        self.cells = [cell(row.get(name), _unit(row, name, shape)) for row in rows]
        self.right = all(value is None or isinstance(value, (int, float)) for value in values)
        self.width = max(map(cell_len, [self.name, *self.cells]))
        words = any(isinstance(value, str) and not _TIME.match(value) for value in values)
        self.folds = words and self.width > _NARROWEST

    def folded(self, place: int, width: int) -> list[str]:
        """The lines of a cell; -1 is the head."""
        text = self.name if place < 0 else self.cells[place]
        return textwrap.wrap(text, width) if self.folds else [text]

    def padded(self, text: str, width: int) -> str:
        """A line of a cell in its place."""
        from rich.cells import cell_len  # noqa: PLC0415 - as above

        blank = " " * max(width - cell_len(text), 0)
        return blank + text if self.right else text + blank


def _lines(columns: Sequence[_Column], widths: Sequence[int]) -> Iterator[str]:
    for place in range(-1, len(columns[0].cells) if columns else 0):
        cells = [column.folded(place, width) for column, width in zip(columns, widths, strict=True)]
        for line in range(max(map(len, cells), default=0)):
            parts = [
                column.padded(folded[line] if line < len(folded) else "", width)
                for column, folded, width in zip(columns, cells, widths, strict=True)
            ]
            yield (" " * _GAP).join(parts).rstrip()
