"""Run SQL on all rows: those in the database, and those that only its columnar files still have.

STATEMENT is one statement that reads, on the tables of `docs/data-dictionary.md`. Without it, statements are read from
standard input; each ends with a line that ends with `;`. On a terminal that is a prompt.
"""

from __future__ import annotations

import sys
from collections.abc import Iterator, Sequence
from contextlib import closing
from dataclasses import dataclass
from itertools import islice

import click

from kernelsight.errors import KernelSightError, UsageError
from kernelsight.stores.base import Reader, Row, open_reader
from kernelsight.stores.missing import tell_missing
from kernelsight.surfaces.cli.command import Command, db_path_option, examples
from kernelsight.surfaces.cli.output import Format, format_option, show
from kernelsight.time_limit import Work

_PROMPT, _CONTINUED = "sql> ", "...> "


@dataclass(frozen=True, slots=True)
class _How:
    form: Format
    by_column: bool
    limit: int
    limit_s: float


@click.command(cls=Command, help=__doc__)
@click.argument("statement", required=False)
@db_path_option
@format_option
@click.option(
    "--by-column",
    is_flag=True,
    help="Run it in DuckDB, in DuckDB's SQL: faster for many rows. The documented views are not there.",
)
@click.option(
    "--limit", type=click.IntRange(min=1), default=10_000, show_default=True, help="Print at most this many rows."
)
@click.option(
    "--time-limit",
    type=click.FloatRange(min=0, min_open=True),
    default=60.0,
    show_default=True,
    metavar="SECONDS",
    help="End a statement that takes longer.",
)
@examples(
    "kernelsight sql 'SELECT comm, count(*) FROM syscall_events GROUP BY comm ORDER BY 2 DESC LIMIT 5'",
    "kernelsight sql --by-column 'SELECT quantile_disc(latency_ns, 0.99) FROM syscall_events'",
    "kernelsight sql --format csv 'SELECT * FROM v_recent_slow_syscalls LIMIT 20'",
)
def sql(  # noqa: PLR0913 - one argument an option
    *, statement: str | None, db_path: str, form: Format, by_column: bool, limit: int, time_limit: float
) -> None:
    """SQL."""
    how = _How(form, by_column, limit, time_limit)
    if statement is not None:
        _run(db_path, statement, how)
        return
    prompts = sys.stdin.isatty()
    for text in _statements(prompts=prompts):
        try:
            _run(db_path, text, how)
        except KernelSightError as error:
            if not prompts:
                raise
            click.echo(f"error: {error}", err=True)


def _statements(*, prompts: bool) -> Iterator[str]:
    """The statements of standard input."""
    if prompts:
        import readline  # noqa: F401, PLC0415 - lines can be edited
    lines: list[str] = []
    while (line := _line(_CONTINUED if lines else _PROMPT, prompts=prompts)) is not None:
        if line.strip() or lines:
            lines.append(line)
        if line.rstrip().endswith(";"):
            yield "\n".join(lines)
            lines.clear()
    if lines:
        yield "\n".join(lines)


def _line(prompt: str, *, prompts: bool) -> str | None:
    try:
        return input(prompt if prompts else "")
    except EOFError:
        return None


def _run(db_path: str, statement: str, how: _How) -> None:
    with Work(how.limit_s).current(), closing(open_reader(db_path)) as reader:
        asked = reader.by_column() if how.by_column else reader
        if asked is None:
            raise UsageError(f"{db_path}: this store reads by column by itself; leave --by-column out")
        _print(asked, statement, how.form, how.limit)
        tell_missing(reader)


def _print(reader: Reader, statement: str, form: Format, limit: int) -> None:
    names, rows = reader.statement(statement)
    columns = _unique(names)
    within = islice(rows, limit)
    show((_named(columns, row) for row in within), form, columns=columns)
    if next(rows, None) is not None:
        click.echo(f"there are more than {limit:,} rows; --limit shows more", err=True)


def _named(columns: list[str], row: Row) -> dict[str, object]:
    return dict(zip(columns, row, strict=True))


def _unique(names: Sequence[str]) -> list[str]:
    """Names of columns, each once: SQL may give one several times."""
    unique: list[str] = []
    for name in names:
        number, candidate = 1, name
        while candidate in unique:
            number += 1
            candidate = f"{name}:{number}"
        unique.append(candidate)
    return unique
