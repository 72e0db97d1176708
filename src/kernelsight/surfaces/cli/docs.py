"""Write or check the generated reference pages."""

from __future__ import annotations

from pathlib import Path

import click

from kernelsight.surfaces import docs as reference
from kernelsight.surfaces.cli.command import Command


@click.command(cls=Command, help=__doc__)
@click.option("--write/--check", default=False, help="Write the pages, or fail when one disagrees with the code.")
@click.option("--folder", type=click.Path(path_type=Path), default=Path("docs"), help="Where they are.")
def docs(*, write: bool, folder: Path) -> None:
    """Write or check the pages."""
    cli = click.get_current_context().find_root().command
    texts = reference.pages(cli)
    if not write:
        reference.check(folder, texts)
        return
    for path in reference.write(folder, texts):
        click.echo(f"wrote {path}")
