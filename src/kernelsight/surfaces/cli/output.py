"""Rows on the way out: a table for a person, CSV or JSON for a program."""

from __future__ import annotations

import io
import shutil
import sys
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import replace
from itertools import islice
from typing import TYPE_CHECKING, Any, Literal, TypeVar, get_args

import click

from kernelsight.errors import UsageError
from kernelsight.moments import STAMPS, with_texts
from kernelsight.printable import json_escaped, printable
from kernelsight.surfaces.cli.completing import complete_column
from kernelsight.surfaces.tables import Shape, headed, laid_out, vertical

if TYPE_CHECKING:
    from kernelsight.diagnosis.report import Line, Style  # every command would load the diagnosis

Format = Literal["table", "csv", "json"]
Row = Mapping[str, Any]

_CHUNK = 1000
STYLES: Mapping[Style, str] = {
    "plain": "",
    "quiet": "dim",
    "good": "green",
    "fault": "bold red",
    "claim": "bold",
    "course": "cyan",
    "advice": "green",
    "command": "green",
}

F = TypeVar("F", bound=Callable[..., Any])
_WIDE, _COLUMNS = f"{__name__}.wide", f"{__name__}.columns"


def _kept(key: str) -> Callable[[click.Context, click.Parameter, Any], None]:
    """Callback that keeps an option for :func:`show`; no command has to pass it on."""

    def keep(ctx: click.Context, param: click.Parameter, value: Any) -> None:
        del param
        if value:
            ctx.meta[key] = value

    return keep


wide_option = click.option(
    "--wide",
    is_flag=True,
    expose_value=False,
    callback=_kept(_WIDE),
    help="Show all columns on a terminal, however wide the table becomes.",
)
_format = click.option(
    "--format",
    "form",
    type=click.Choice(get_args(Format)),
    default="table",
    show_default=True,
    help="A table; CSV; or JSON, one object a line.",
)
_columns = click.option(
    "--columns",
    metavar="NAMES",
    expose_value=False,
    callback=_kept(_COLUMNS),
    shell_complete=complete_column,
    help="Show only these columns, separated by commas.",
)


def format_option(command: F) -> F:
    """How rows are printed: --format, and of which columns: --columns, --wide."""
    return _format(_columns(wide_option(command)))


def chosen_columns() -> list[str]:
    """The columns that --columns names; none where it was not given."""
    context = click.get_current_context(silent=True)
    given = str(context.meta.get(_COLUMNS, "")) if context else ""
    return [name.strip() for name in given.split(",") if name.strip()]


def show(  # noqa: PLR0913 - what is known of the rows, by keyword
    rows: Iterable[Row],
    form: Format = "table",
    *,
    empty: str | Callable[[], str] = "no rows",
    columns: Sequence[str] = (),
    shape: Shape | None = None,
    chosen: bool = False,
) -> None:
    """Print rows as they are asked for.

    Args:
        rows: dicts with the same keys.
        form: how.
        empty: what to tell a person (on stderr) when there are none; what has to be looked up for it is told to
            programs, too.
        columns: which to show, in this order; all of the first row when empty.
        shape: what is known of the columns, for a terminal.
        chosen: the rows have the columns that --columns names, and no others that a person would not want.

    Raises:
        UsageError: --columns names one that there is not.
    """
    rows = iter(rows)
    first = next(rows, None)
    if first is None:
        if callable(empty):
            click.echo(empty(), err=True)
        elif form == "table" and empty:
            click.echo(empty, err=True)
        return
    names = list(columns or first)
    if asked := ([] if chosen else chosen_columns()):
        names = _known(asked, [*first])
    everything = _again(first, rows)
    if form == "json":
        _print_json(everything, names)
    elif form == "csv":
        _print_csv(everything, names)
    elif sys.stdout.isatty():
        _print_on_terminal(list(everything), names, shape, chosen=chosen or bool(asked))
    else:
        _print_aligned(
            [[headed(name, shape) for name in names], *([_text(row.get(name)) for name in names] for row in everything)]
        )


def _known(asked: Sequence[str], there: Sequence[str]) -> list[str]:
    for name in asked:
        if name not in there:
            raise UsageError(f"there is no column {name!r} here; there are {', '.join(there)}")
    return list(asked)


def _again(first: Row, rest: Iterator[Row]) -> Iterator[Row]:
    yield first
    yield from rest


def show_json(value: object) -> None:
    """Print one JSON object: a dict or a struct, with a text beside each stamp (:func:`with_texts`)."""
    import msgspec  # noqa: PLC0415 - only this form needs it

    told = with_texts(msgspec.to_builtins(value, enc_hook=str))
    _echo_json(msgspec.json.encode(told) + b"\n")


def _print_json(rows: Iterator[Row], names: Sequence[str]) -> None:
    import msgspec  # noqa: PLC0415 - only this form needs it

    encode = msgspec.json.Encoder(enc_hook=str).encode_lines
    stamped = not STAMPS.keys().isdisjoint(names)
    while chunk := [{name: row.get(name) for name in names} for row in islice(rows, _CHUNK)]:
        _echo_json(encode(with_texts(chunk) if stamped else chunk))


def _echo_json(text: bytes) -> None:
    """Print JSON; on a terminal without anything that would command it, which JSON can say in escapes."""
    click.echo(json_escaped(text) if sys.stdout.isatty() else text, nl=False)


def _print_csv(rows: Iterator[Row], names: Sequence[str]) -> None:
    import csv  # noqa: PLC0415 - for this format alone

    text = io.StringIO()
    writer = csv.writer(text, lineterminator="\n")
    made_safe = _safe if sys.stdout.isatty() else lambda value: value
    writer.writerow(names)
    while chunk := list(islice(rows, _CHUNK)):
        writer.writerows([made_safe(row.get(name)) for name in names] for row in chunk)
        click.echo(text.getvalue(), nl=False)
        text.seek(0)
        text.truncate()
    click.echo(text.getvalue(), nl=False)


def _safe(value: Any) -> Any:
    return printable(value) if isinstance(value, str) else value


def print_table(names: Sequence[str], rows: Iterable[Sequence[str]], first: Sequence[str] = ()) -> None:
    """Print cells under their names; on a narrow terminal the first columns stay."""
    show([dict(zip(names, row, strict=True)) for row in rows], columns=names, shape=Shape(first=first))


def print_lines(lines: Iterable[Line]) -> None:
    """Print the lines of a report, on a terminal in colours."""
    print_styled((line.text, STYLES[line.style]) for line in lines)


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


def _print_on_terminal(rows: Sequence[Row], names: Sequence[str], shape: Shape | None, *, chosen: bool) -> None:
    context = click.get_current_context(silent=True)
    wide = bool(context and context.meta.get(_WIDE))
    shape = replace(shape or Shape(), wide=wide, chosen=chosen)
    if chosen and "timestamp" not in chosen_columns():
        names = [name for name in names if name != "timestamp"]
    if len(rows) == 1:
        for line in vertical(rows[0], names, shape):
            click.echo(line)
        return
    (head, *lines), left_out = laid_out(rows, names, shape, shutil.get_terminal_size().columns)
    click.secho(head, bold=True)
    for line in lines:
        click.echo(line)
    if left_out:
        count = f"{len(left_out)} column{'' if len(left_out) == 1 else 's'}"
        has_wide = bool(context and any(option.name == "wide" for option in context.command.params))
        how = "--wide shows all" if has_wide else "a wider terminal shows more"
        click.echo(f"{count} left out: {', '.join(left_out)}; {how}", err=True)


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
