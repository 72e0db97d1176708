"""Write rows to files: Parquet, Arrow, CSV or NDJSON.

One table goes to standard output (NDJSON, CSV, Arrow) or to a file, several go to a folder, one file each. Rows are
read a stretch of time after the other, so that millions fit. NDJSON is what `kernelsight ingest` reads.
"""

from __future__ import annotations

import sys
from collections.abc import Sequence
from contextlib import ExitStack
from pathlib import Path
from typing import IO

import click

from kernelsight.errors import KernelSightError, UsageError
from kernelsight.events.wire import kinds
from kernelsight.query.source import kind_named, opened
from kernelsight.query.times import Time, TimeRange, parse_time
from kernelsight.surfaces.cli.command import Command, db_path_option, examples, since_option, until_option
from kernelsight.surfaces.cli.completing import complete_table

FORMATS = ("parquet", "arrow", "csv", "ndjson")
_STANDARD_OUTPUT = Path("-")


@click.command(cls=Command, help=__doc__)
@click.argument("tables", nargs=-1, metavar="[TABLE]...", shell_complete=complete_table)
@db_path_option
@since_option("1h")
@until_option
@click.option("--where", multiple=True, metavar="CONDITION", help="Such as 'latency_ns>=10ms'; may be repeated.")
@click.option("--columns", metavar="A,B", help="Those wanted besides `timestamp`.  [default: all]")
@click.option(
    "--format", "format_", type=click.Choice(FORMATS), help="Of the output.  [default: as the file is named, or ndjson]"
)
@click.option(
    "--output",
    "-o",
    type=click.Path(path_type=Path),
    default=_STANDARD_OUTPUT,
    metavar="PATH",
    help="A file; of several tables, or of all, a folder.  [default: standard output]",
)
@examples(
    "kernelsight export memory --since 10m",
    "kernelsight export syscall_events --since 1d --where 'latency_ns>=50ms' -o slow.parquet",
    "kernelsight export --since '2026-11-23 14:00' --until '2026-11-23 15:00' --format parquet -o hour",
)
def export(  # noqa: PLR0913 - one argument an option
    *,
    tables: Sequence[str],
    db_path: str,
    since: Time,
    until: Time,
    where: Sequence[str],
    columns: str | None,
    format_: str | None,
    output: Path,
) -> None:
    """Export."""
    from kernelsight.surfaces.exports.files import written  # noqa: PLC0415 - with it comes pyarrow

    named = [kind_named(table) for table in tables] or list(kinds().values())
    when = TimeRange(parse_time(since), parse_time(until))
    if when.end_ns < when.start_ns:
        raise UsageError(f"the range ends before it begins: from {since} to {until}")
    if columns is not None and len(named) != 1:
        raise UsageError("--columns goes with one table")
    wanted = None if columns is None else [name.strip() for name in columns.split(",")]
    chosen = format_ or (output.suffix[1:] if output.suffix[1:] in FORMATS else "ndjson")
    one_file = len(named) == 1 and not output.is_dir()
    if not one_file and output == _STANDARD_OUTPUT:
        raise UsageError("several tables go to a folder: name it with -o")
    if chosen == "parquet" and output == _STANDARD_OUTPUT:
        raise UsageError("Parquet goes to a file: name it with -o")
    with opened(db_path) as reader, ExitStack() as stack:
        if not one_file:
            _make(output)
        for kind in named:
            path = output if one_file else output / f"{kind.table}.{chosen}"
            told = written(
                reader, kind, when, path, chosen, where=where, columns=wanted,
                stdout=_binary_output(stack) if path == _STANDARD_OUTPUT else None,
            )  # fmt: skip
            if told.rows or one_file:
                _tell(kind.table, path, told.rows, told.unreadable)


def _make(folder: Path) -> None:
    try:
        folder.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise KernelSightError(f"{folder}: cannot be made: {error.strerror}") from error


def _binary_output(stack: ExitStack) -> IO[bytes]:
    stack.callback(sys.stdout.flush)
    return sys.stdout.buffer


def _tell(table: str, path: Path, rows: int, unreadable: dict[str, int]) -> None:
    click.echo(f"{table}: {rows:,} rows{'' if path == _STANDARD_OUTPUT else f' in {path}'}", err=True)
    for column, values in unreadable.items():
        click.echo(f"{table}.{column}: {values:,} values of another type than the column's are null", err=True)
