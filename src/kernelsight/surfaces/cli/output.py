"""Rows on the way out: a table for a person, CSV or JSON for a program."""

from __future__ import annotations

import csv
import io
import sys
from collections.abc import Iterable, Iterator, Mapping, Sequence
from itertools import islice
from typing import TYPE_CHECKING, Any, Literal, get_args

import click

from kernelsight.moments import STAMPS, with_texts
from kernelsight.printable import printable

if TYPE_CHECKING:
    from kernelsight.diagnosis.report import Line, Style  # every command would load the diagnosis

Format = Literal["table", "csv", "json"]
Row = Mapping[str, Any]

_CHUNK = 1000
_STYLES: Mapping[Style, str] = {
    "plain": "",
    "quiet": "dim",
    "good": "green",
    "fault": "bold red",
    "claim": "bold",
    "course": "cyan",
    "advice": "green",
}

format_option = click.option(
    "--format",
    "form",
    type=click.Choice(get_args(Format)),
    default="table",
    show_default=True,
    help="A table; CSV; or JSON, one object a line.",
)


def show(rows: Iterable[Row], form: Format = "table", *, empty: str = "no rows", columns: Sequence[str] = ()) -> None:
    """Print rows as they are asked for.

    Args:
        rows: dicts with the same keys.
        form: how.
        empty: what to tell a person (on stderr) when there are none.
        columns: which to show, in this order; all of the first row when empty.
    """
    rows = iter(rows)
    first = next(rows, None)
    if first is None:
        if form == "table":
            click.echo(empty, err=True)
        return
    names = list(columns or first)
    everything = _again(first, rows)
    if form == "json":
        _print_json(everything, names)
    elif form == "csv":
        _print_csv(everything, names)
    else:
        print_table(names, ([_text(row.get(name)) for name in names] for row in everything))


def _again(first: Row, rest: Iterator[Row]) -> Iterator[Row]:
    yield first
    yield from rest


def show_json(value: object) -> None:
    """Print one JSON object: a dict or a struct, with a text beside each stamp (:func:`with_texts`)."""
    import msgspec  # noqa: PLC0415 - only this form needs it

    told = with_texts(msgspec.to_builtins(value, enc_hook=str))
    click.echo(msgspec.json.encode(told))


def _print_json(rows: Iterator[Row], names: Sequence[str]) -> None:
    import msgspec  # noqa: PLC0415 - only this form needs it

    encode = msgspec.json.Encoder(enc_hook=str).encode_lines
    stamped = not STAMPS.keys().isdisjoint(names)
    while chunk := [{name: row.get(name) for name in names} for row in islice(rows, _CHUNK)]:
        click.echo(encode(with_texts(chunk) if stamped else chunk), nl=False)


def _print_csv(rows: Iterator[Row], names: Sequence[str]) -> None:
    text = io.StringIO()
    writer = csv.writer(text, lineterminator="\n")
    writer.writerow(names)
    while chunk := list(islice(rows, _CHUNK)):
        writer.writerows([row.get(name) for name in names] for row in chunk)
        click.echo(text.getvalue(), nl=False)
        text.seek(0)
        text.truncate()
    click.echo(text.getvalue(), nl=False)


def print_table(names: Sequence[str], rows: Iterable[Sequence[str]]) -> None:
    """Print cells under their names: framed on a terminal, aligned plain text otherwise."""
    if sys.stdout.isatty():
        _print_framed(names, rows)
    else:
        _print_aligned([list(names), *(list(row) for row in rows)])


def print_lines(lines: Iterable[Line]) -> None:
    """Print the lines of a report, on a terminal in colours."""
    print_styled((line.text, _STYLES[line.style]) for line in lines)


def print_styled(lines: Iterable[tuple[str, str]]) -> None:
    """Print lines, each with a style of rich's, which only a terminal sees."""
    if not sys.stdout.isatty():
        for text, _ in lines:
            click.echo(printable(text))
        return
    from rich.console import Console  # noqa: PLC0415 - only a terminal needs it
    from rich.text import Text  # noqa: PLC0415

    console = Console(highlight=False)
    for text, style in lines:
        console.print(Text(printable(text), style), soft_wrap=True)


def _print_framed(names: Sequence[str], rows: Iterable[Sequence[str]]) -> None:
    from rich.console import Console  # noqa: PLC0415 - only a terminal needs it
    from rich.table import Table  # noqa: PLC0415
    from rich.text import Text  # noqa: PLC0415

    table = Table(*names, header_style="bold")
    for row in rows:
        # Text, not markup: what the kernel calls things may look like markup.
        table.add_row(*(Text(cell) for cell in row))
    Console().print(table)


def _print_aligned(cells: list[list[str]]) -> None:
    widths = [max(map(len, column)) for column in zip(*cells, strict=True)]
    for row in cells:
        line = "  ".join(cell.ljust(width) for cell, width in zip(row, widths, strict=True))
        click.echo(line.rstrip())


def _text(value: Any) -> str:
    """A value for a person; control characters, which a thread's name may hold, are made visible."""
    if value is None:
        return "-"
    if isinstance(value, float):
        return f"{value:.6g}" if abs(value) < 1e6 else f"{value:.0f}"
    return printable(str(value))
