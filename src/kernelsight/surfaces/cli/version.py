"""Print the version."""

from __future__ import annotations

import platform

import click

import kernelsight
from kernelsight.surfaces.cli.command import Command, examples


@click.command(cls=Command, help=__doc__)
@examples("kernelsight version")
def version() -> None:
    """Print the versions that a bug report needs."""
    system = platform.uname()
    click.echo(
        f"kernelsight {kernelsight.__version__} (Python {platform.python_version()}, {system.system} {system.release})"
    )
