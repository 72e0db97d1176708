"""Kernel telemetry of this machine: collect it, store it, ask it.

`kernelsight start` runs the whole system; the other commands are its parts, to be used alone or
joined by pipes: `kernelsight collect | kernelsight ingest`. Times are shown in local time with their offset, and every
option for a time takes them in that form. With `--utc`, before or after any command's name, times are shown and read
in UTC.
"""

from __future__ import annotations

import ast
import importlib.util
from pathlib import Path

import click

import kernelsight
from kernelsight.registry import Plugins
from kernelsight.surfaces import cli as package
from kernelsight.surfaces.cli.command import CONFIG_OPTION, UTC_OPTION, Group

_COMMANDS: Plugins[click.Command] = Plugins(
    package.__name__,
    lambda module: getattr(module, module.__name__.rpartition(".")[2]),
    skip={"command", "completing", "main", "output", "screen", "sources"},
)
_HIDDEN = {"docs"}


class Commands(Group):
    """The modules of this package, each one command of its own name, imported when it is used."""

    def list_commands(self, ctx: click.Context) -> list[str]:
        """The names, in alphabetical order."""
        del ctx
        return _COMMANDS.names()

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:
        """The command of a name, or None."""
        del ctx
        command = _COMMANDS.get(cmd_name)
        if command is not None:
            command.hidden = cmd_name in _HIDDEN
        return command

    def format_commands(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        """List them with the first line of their modules, without importing any."""
        summaries = [(name, _summary(name)) for name in self.list_commands(ctx) if name not in _HIDDEN]
        with formatter.section("Commands"):
            formatter.write_dl(summaries)


def _summary(name: str) -> str:
    spec = importlib.util.find_spec(f"{package.__name__}.{name}")
    if spec is None or spec.origin is None:
        return ""
    text = ast.get_docstring(ast.parse(Path(spec.origin).read_bytes()))
    return (text or "").partition("\n")[0]


@click.command(
    cls=Commands,
    name="kernelsight",
    help=__doc__,
    params=[CONFIG_OPTION, UTC_OPTION],
    context_settings={"auto_envvar_prefix": "KERNELSIGHT", "help_option_names": ["-h", "--help"]},
)
@click.version_option(kernelsight.__version__, prog_name="kernelsight", message="%(prog)s %(version)s")
def main() -> None:
    """Start the command line."""
