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
    from kernelsight.stores.sqlite.repair import Repaired


@click.command(cls=Command, help=__doc__)
@db_path_option
@examples("kernelsight repair")
def repair(*, db_path: str) -> None:
    """Repair a database."""
    from kernelsight.stores.database_path import database_path  # noqa: PLC0415
    from kernelsight.stores.sqlite.adoption import adopt  # noqa: PLC0415 - seldom needed
    from kernelsight.stores.sqlite.repair import repair as repaired  # noqa: PLC0415
    from kernelsight.stores.sqlite.whereabouts import set_aside  # noqa: PLC0415
    from kernelsight.surfaces.unprivileged import serve_as_owner  # noqa: PLC0415

    path = database_path(db_path)
    serve_as_owner(db_path, [])
    before = set_aside(path)
    done = repaired(path)
    if not done.parts:
        click.echo(f"{path}: no part of it is damaged")
    lost = _tell(done)
    for file in before:
        adopted = adopt(path, file)
        if adopted is None:
            click.echo(f"{file}: its schema cannot be read; `sqlite3 {file} .recover` may read its rows.")
            lost = True
        else:
            lost = _tell(adopted) or lost
    if lost:
        raise click.exceptions.Exit(1)


def _tell(done: Repaired) -> bool:
    """Say what became of the parts; whether any rows are lost."""
    for part in done.parts:
        lost = "the number of lost rows is not known" if part.lost is None else f"{part.lost:,} rows are lost"
        click.echo(f"{part.part}: {part.rows:,} rows recovered, {lost}")
    if done.kept:
        click.echo(f"The damaged file is kept as {done.kept}; remove it when you do not need it.")
    return any(part.lost is None or part.lost for part in done.parts)
