"""Back a database up into a folder while the daemon goes on writing to it.

The folder has the database, its columns and a manifest with checksums. Run again with the same folder, the command
brings the backup up to date, or goes on with one that was interrupted: it copies only the columns that are new. On
the same file system columns are hard links, which take no space. `kernelsight restore` brings a backup back.
"""

from __future__ import annotations

from pathlib import Path

import click

from kernelsight.surfaces.cli.command import Command, db_path_option, examples


@click.command(cls=Command, help=__doc__)
@click.argument("folder", type=click.Path(path_type=Path), metavar="DEST")
@db_path_option
@examples("kernelsight backup /var/backups/kernelsight")
def backup(*, folder: Path, db_path: str) -> None:
    """Back up a store."""
    from kernelsight.moments import to_second  # noqa: PLC0415 - seldom needed
    from kernelsight.stores.base import store  # noqa: PLC0415
    from kernelsight.surfaces.figures import human_bytes  # noqa: PLC0415
    from kernelsight.surfaces.progress import follow  # noqa: PLC0415

    done = follow(store(db_path).back_up(folder))
    click.echo(
        f"{done.path}: {done.rows:,} rows as of {to_second(done.taken_ns)}, {human_bytes(done.bytes)},"
        f" {human_bytes(done.new_bytes)} of it new; checked"
    )
