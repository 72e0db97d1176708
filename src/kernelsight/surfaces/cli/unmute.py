"""End a mute before its time: the finding is reported again."""

from __future__ import annotations

import click

from kernelsight.printable import printable
from kernelsight.surfaces.cli.command import Command, db_path_option, examples


@click.command(cls=Command, help=__doc__)
@click.argument("mute_id", metavar="ID")
@db_path_option
@click.option("--reason", metavar="TEXT", help="Why, for the record.")
@examples("kernelsight unmute 4f1c22ab")
def unmute(*, mute_id: str, db_path: str, reason: str | None) -> None:
    """Unmute."""
    from kernelsight.surfaces import muting  # noqa: PLC0415 - with it comes the diagnosis

    muted = muting.unmute(db_path, mute_id, reason)
    click.echo(printable(f"{mute_id}: {muted.fault} is reported again"))
