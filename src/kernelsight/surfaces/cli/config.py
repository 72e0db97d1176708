"""Show what holds of the configuration file, the environment and the defaults, or check a file.

The file is `--config FILE` (before the command's name) or KERNELSIGHT_CONFIG, else ./kernelsight.toml, else
/etc/kernelsight.toml. A table has the name of a command, and its keys are the command's options without their dashes.
The command line holds before the environment (KERNELSIGHT_START_INTERVAL), the file and the default.
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import click
from click.core import ParameterSource

from kernelsight.errors import UsageError
from kernelsight.surfaces.cli.command import Command, Group, configuration, examples
from kernelsight.surfaces.configuration import PLACES, ConfigurationError, options_of, read, wrong
from kernelsight.trusted_paths import UntrustedPathError

_SOURCES = {
    ParameterSource.DEFAULT_MAP: "file",
    ParameterSource.ENVIRONMENT: "environment",
    ParameterSource.DEFAULT: "default",
}


@click.group(cls=Group, help=__doc__)
@examples(
    "kernelsight config show > kernelsight.toml",
    "kernelsight config check /etc/kernelsight.toml",
)
def config() -> None:
    """Configuration."""


@config.command(
    cls=Command,
    help="Print what holds, as a file that can be edited: each option with its meaning, its value and whence it is.",
)
@click.argument("commands", nargs=-1, metavar="[COMMAND]...")
def show(*, commands: Sequence[str]) -> None:
    """Print what holds of some commands; without any, of `start`."""
    root = click.get_current_context().find_root()
    path = configuration(root).path
    click.echo(f"# from {path}" if path else f"# no file: neither {' nor '.join(map(str, PLACES))} is there")
    for name in commands or ("start",):
        for line in _shown(root, name.split(".")):
            click.echo(line)


@config.command(cls=Command, help="Say what is wrong with a file; without a FILE, with the one that holds.")
@click.argument("file", required=False, type=click.Path(path_type=Path))
def check(*, file: Path | None) -> None:
    """Check a file."""
    root = click.get_current_context().find_root()
    assert isinstance(root.command, click.Group)  # the program
    try:
        read_file = read(file) if file is not None else configuration(root)
    except UntrustedPathError as error:
        raise ConfigurationError(f"others than you may decide what is done: {error}") from error
    if read_file.path is None:
        raise UsageError(f"there is no configuration file: neither {' nor '.join(map(str, PLACES))} is there")
    mistakes = list(wrong(read_file, root.command, root))
    for mistake in mistakes:
        click.echo(mistake, err=True)
    if mistakes:
        raise click.exceptions.Exit(2)
    click.echo(f"{read_file.path}: nothing is wrong with it")


def _shown(root: click.Context, names: Sequence[str]) -> Iterator[str]:
    context = root
    for name in names:
        command = context.command.get_command(context, name) if isinstance(context.command, click.Group) else None
        if command is None:
            raise UsageError(f"there is no command {' '.join(names)!r}; `kernelsight --help` lists them")
        context = click.Context(command, parent=context, info_name=name)
    context.default_map = configuration(root).values_of(context.command, names, context)
    yield ""
    yield f"[{'.'.join(names)}]"
    for name, option in options_of(context.command, context).items():
        value, source = option.consume_value(context, {})
        if meaning := (getattr(option, "help", None) or "").strip():
            yield f"# {meaning}"
        if source is ParameterSource.ENVIRONMENT:
            value = option.type_cast_value(context, value)
        yield _line(name, value, _SOURCES.get(source, "default"))


def _line(name: str, value: Any, source: str) -> str:
    if isinstance(value, tuple):
        value = list(value)
    if value is None or repr(value).startswith("Sentinel") or value == []:
        return f"# {name} ="
    text = f"{name} = {json.dumps(value, default=str)}"
    return f"# {text}" if source == "default" else f"{text}  # from the {source}"
