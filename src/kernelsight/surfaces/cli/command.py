"""What all commands share: how they fail, and the options that several of them take."""

from __future__ import annotations

from typing import Any

import click

from kernelsight.errors import KernelSightError
from kernelsight.stores.base import DEFAULT_DB_PATH


class Command(click.Command):
    """A command whose expected failures are one line on stderr and an exit code, never a traceback."""

    def invoke(self, ctx: click.Context) -> Any:
        """Run it."""
        try:
            return super().invoke(ctx)
        except KernelSightError as error:
            click.echo(f"{ctx.command_path}: {error}", err=True)
            ctx.exit(error.exit_code)


class Group(click.Group):
    """A command with commands of its own."""

    command_class = Command


db_path_option = click.option(
    "--db-path",
    envvar="KERNELSIGHT_DB_PATH",
    show_envvar=True,
    default=DEFAULT_DB_PATH,
    show_default=True,
    metavar="PATH",
    help="The database: a file, or the URL of a store.",
)
