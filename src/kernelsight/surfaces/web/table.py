"""Tables on pages: what the server writes as HTML, each cell as text."""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

from kernelsight.printable import printable
from kernelsight.quantities import quantity
from kernelsight.stores.base import Value

UNKNOWN = "\N{EN DASH}"


class Cell(NamedTuple):
    """What stands in one place; names in it are made printable."""

    text: str
    path: str = ""
    """Where it leads, within these pages."""
    is_number: bool = False
    css: str = ""


class Table(NamedTuple):
    """A table."""

    title: str
    help: str
    heads: Sequence[str]
    rows: Sequence[Sequence[Cell]]
    empty: str = "None in this time."
    """What is said where it has no rows."""


def text(value: object, path: str = "", css: str = "") -> Cell:
    """A text, such as a name that anybody may have chosen."""
    return Cell(UNKNOWN if value is None or value == "" else printable(str(value)), path, css=css)


def amount(value: Value, unit: str = "", scale: float = 1.0) -> Cell:
    """A number with its unit."""
    if not isinstance(value, (int, float)):
        return Cell(UNKNOWN, is_number=True)
    return Cell(quantity(value * scale, unit), is_number=True)


def number(value: object) -> Cell:
    """A number that names something, such as a pid: without a unit, and as it is typed."""
    return Cell(UNKNOWN if value is None else str(value), is_number=True)
