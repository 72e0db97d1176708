"""Bring a backup back to where there is no database.

The command checks every file against the checksums of the backup, and the database as a whole, before it gets its name.
An interrupted run leaves no database; run it again and it goes on. A backup of an older version is brought up to
date when the daemon opens it.
"""

from __future__ import annotations

from pathlib import Path

import click

from kernelsight.surfaces.cli.command import Command, db_path_option, examples


@click.command(cls=Command, help=__doc__)
@click.argument("folder", type=click.Path(path_type=Path), metavar="SOURCE")
@db_path_option
@examples("kernelsight restore /var/backups/kernelsight --db-path data/kernelsight.db")
def restore(*, folder: Path, db_path: str) -> None:
    """Restore a store."""
    from kernelsight.moments import to_second  # noqa: PLC0415 - seldom needed
    from kernelsight.stores.base import store  # noqa: PLC0415
    from kernelsight.surfaces.figures import human_bytes  # noqa: PLC0415
    from kernelsight.surfaces.progress import follow  # noqa: PLC0415

    done = follow(store(db_path).restore(folder))
    click.echo(f"{done.path}: {done.rows:,} rows as of {to_second(done.taken_ns)}, {human_bytes(done.bytes)}; checked")
