"""Show the machine as it was in any recorded second, on the screen of `kernelsight top`.

← and → step by a second, with Shift by ten, [ and ] by a minute; space plays on, Home and End go to the first and the
last recorded second.
"""

from __future__ import annotations

import click

from kernelsight.query.times import parse_time
from kernelsight.surfaces.cli.command import Command, db_path_option, examples
from kernelsight.surfaces.cli.completing import TIME
from kernelsight.surfaces.cli.screen import run_screen


@click.command(cls=Command, help=__doc__)
@db_path_option
@click.option("--at", type=TIME, required=True, help="The second to begin with, such as 14:05 or 10m.")
@examples(
    "kernelsight replay --at 14:05",
    "kernelsight replay --at '2026-11-23 14:05:30'",
)
def replay(*, db_path: str, at: str) -> None:
    """Show a second."""
    run_screen(db_path, at_ns=parse_time(at))
