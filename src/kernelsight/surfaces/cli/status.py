"""Show the state of a database: rows, size, the account of every line, and the reports of the collectors."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict
from typing import Any

import click

from kernelsight.events.declare import EARLIEST_EPOCH_NS
from kernelsight.moments import to_next_second, to_second
from kernelsight.query.clock_notes import Note, clock_notes
from kernelsight.query.times import TimeRange
from kernelsight.stores.base import Reader, open_reader, store
from kernelsight.stores.damage import Damage
from kernelsight.surfaces import figures
from kernelsight.surfaces.cli.command import Command, db_path_option, examples
from kernelsight.surfaces.cli.output import show, show_json

_RECENT_NS = 3600 * 1_000_000_000
_LOOK_S = 2.0
"""How long segments are read for damage that nobody has met yet: some 2 GB."""

_MOST_REFUSALS = 10


@click.command(cls=Command, help=__doc__)
@db_path_option
@click.option("--json", "as_json", is_flag=True, help="Print one JSON object instead.")
@examples(
    "kernelsight status",
    "kernelsight status --json",
)
def status(*, db_path: str, as_json: bool) -> None:
    """Read the books of a store."""
    reader = open_reader(db_path)
    try:
        state = _state(reader, db_path)
    finally:
        reader.close()
    if as_json:
        show_json(state)
    else:
        _print(state)
    if state["damaged"]:
        raise click.exceptions.Exit(1)


def _state(reader: Reader, db_path: str) -> dict[str, Any]:
    tables = figures.rows_by_table(reader)
    newest_ns = figures.last_report_ns(reader)
    # Of the last run only: within an hour before the newest report.
    lately = None if newest_ns is None else TimeRange(max(0, newest_ns - _RECENT_NS), newest_ns)
    before_2001 = TimeRange(
        0, EARLIEST_EPOCH_NS
    )  # where nobody reported, that the clock was never set is said all the same
    return {
        "database": db_path,
        "size_bytes": store(db_path).size_bytes(),
        "rows": sum(table["rows"] for table in tables),
        "tables": tables,
        "accounts": [asdict(book) for book in reader.books()],
        "rejected": [asdict(refusal) for refusal in reader.refusals(_MOST_REFUSALS)],
        "collectors": figures.collectors(reader, lately.start_ns) if lately else [],
        "clock": clock_notes(reader, lately or before_2001),
        "damaged": [asdict(damage) for damage in reader.damages(look_s=_LOOK_S)],  # last: reading meets damage
    }


def _print(state: dict[str, Any]) -> None:
    size = figures.human_bytes(state["size_bytes"])
    click.echo(f"{state['database']}: {state['rows']:,} rows, {size}\n")
    for damage in state["damaged"]:
        click.echo(f"DAMAGED: {Damage(**damage)}")
    if state["damaged"]:
        click.echo("End the daemon, then `kernelsight repair` recovers what can be read.\n")
    show(map(_with_moments, state["tables"]), empty="It has no rows yet; `kernelsight start` fills it.")
    if state["accounts"]:
        click.echo("\nWhat became of the lines, by kind (lines = stored + rejected + dropped + in_memory):")
        show(state["accounts"])
    if state["rejected"]:
        click.echo("\nWhy the daemon refused lines (rejected_events has them):")
        show([{**row, "last_timestamp": to_second(row["last_timestamp"])} for row in state["rejected"]])
    if state["collectors"]:
        click.echo("\nCollectors, by their last report:")
        names = (
            "name",
            "source",
            "status",
            "runs",
            "events",
            "sampled_every",
            "missed",
            "lost",
            "failures",
            "left_out",
            "not_understood",
            "reason",
        )
        show(state["collectors"], columns=names)
    _print_clock(state["clock"])


def _print_clock(notes: Sequence[Note]) -> None:
    if notes:
        click.echo("\nThe machine's clock:")
    for note in notes:
        click.echo(f"{to_second(note.timestamp)}: {note.text}")


def _with_moments(table: dict[str, Any]) -> dict[str, Any]:
    """A table's line for a person; the stretch that is shown holds all rows."""
    first, last = to_second(table["first_ns"]), to_next_second(table["last_ns"])
    return {"table": table["table"], "rows": table["rows"], "last": last, "first": first}
