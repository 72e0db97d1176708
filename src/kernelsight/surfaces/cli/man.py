"""Write the manual pages of all commands into a folder, for man(1)."""

from __future__ import annotations

from pathlib import Path

import click

import kernelsight
from kernelsight.surfaces.cli.command import Command, examples
from kernelsight.surfaces.manual import manual_pages


@click.command(cls=Command, help=__doc__)
@click.argument("folder", type=click.Path(file_okay=False, path_type=Path))
@examples(
    "kernelsight man ~/.local/share/man/man1",
    "man kernelsight-diagnose",
)
def man(*, folder: Path) -> None:
    """Write them."""
    pages = manual_pages(click.get_current_context().find_root().command, kernelsight.__version__)
    folder.mkdir(parents=True, exist_ok=True)
    for name, text in pages.items():
        (folder / name).write_text(text, encoding="utf-8")
    click.echo(f"{len(pages)} pages in {folder}")
