"""Recover the readable rows of a database with damaged parts.

The command copies whole parts into a new file, and takes the rows of damaged parts from their pages. Lost rows count
as dropped in the books. The new file takes the place of the damaged one, which is kept beside it as
FILE.before-repair-TIME unless every row was recovered. The repair needs as much free space as the size of the file.
End the daemon first.

Exit status: 0 where nothing is lost, 1 otherwise.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import click

from kernelsight.surfaces.cli.command import Command, db_path_option, examples

if TYPE_CHECKING:
    from kernelsight.stores.damage import Repaired


@click.command(cls=Command, help=__doc__)
@db_path_option
@examples("kernelsight repair")
def repair(*, db_path: str) -> None:
    """Repair a database."""
    from kernelsight.stores.base import store  # noqa: PLC0415 - seldom needed
    from kernelsight.surfaces.unprivileged import serve_as_owner  # noqa: PLC0415

    serve_as_owner(db_path, [])
    complete = True
    for repaired in store(db_path).repair():
        _tell(repaired)
        complete = complete and repaired.is_complete
    if not complete:
        raise click.exceptions.Exit(1)


def _tell(repaired: Repaired) -> None:
    """Say what became of the parts."""
    if repaired.beyond_repair:
        click.echo(f"{repaired.name}: {repaired.beyond_repair}.")
    elif not repaired.parts and not repaired.kept:
        click.echo(f"{repaired.name}: no part of it is damaged")
    for part in repaired.parts:
        lost = "the number of lost rows is not known" if part.lost is None else f"{part.lost:,} rows are lost"
        click.echo(f"{part.part}: {part.rows:,} rows recovered, {lost}")
    if repaired.kept:
        click.echo(f"The damaged file is kept as {repaired.kept}; remove it when you do not need it.")
