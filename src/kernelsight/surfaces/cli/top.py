"""Show the machine on the terminal, second by second: verdict, processes, groups, disks, network, services, waits.

`kernelsight start` (or `collect` and `ingest`) must fill the database meanwhile. Keys: 1 to 8 choose a view, < and >
the column to sort by, / filters, f follows a row, ← and → go through the recorded seconds, d diagnoses, ? lists all.
Nothing on this screen changes the machine.
"""

from __future__ import annotations

import click

from kernelsight.surfaces.cli.command import Command, db_path_option, examples, seconds
from kernelsight.surfaces.cli.screen import run_screen


@click.command(cls=Command, help=__doc__)
@db_path_option
@click.option(
    "--every",
    type=float,
    callback=seconds(),
    default=1.0,
    show_default=True,
    metavar="SECONDS",
    help="Between two looks.",
)
@examples(
    "kernelsight top",
    "kernelsight top --every 5 --db-path /var/lib/kernelsight/kernelsight.db",
)
def top(*, db_path: str, every: float) -> None:
    """Show it live."""
    run_screen(db_path, every_s=every)
