"""The configuration file: options of commands, by the names that they have on the command line.

::

    db-path = "/var/lib/kernelsight/kernelsight.db"   # of every command

    [start]
    interval = 2.0
    no-agent = true

A table has the name of its command (`[signals.watch]` of a command within another one). What is given on the command
line holds first, then the environment (`KERNELSIGHT_START_INTERVAL`), then the file, then the default.
"""

from __future__ import annotations

import difflib
import tomllib
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import click

from kernelsight.errors import UsageError
from kernelsight.trusted_paths import UntrustedPathError, read_text

PLACES = (Path("kernelsight.toml"), Path("/etc/kernelsight.toml"))
"""Where it is looked for; the first one that is there holds."""
SHARED = ("db-path", "policy", "utc")
"""Options that may stand above all tables, for every command that has them."""

Table = Mapping[str, Any]


class ConfigurationError(UsageError):
    """A configuration file cannot be read, or says something wrong; the message names the file and the key."""


@dataclass(frozen=True, slots=True)
class Configuration:
    """What a file says."""

    path: Path | None = None
    tables: Table = field(default_factory=dict)

    def values_of(self, command: click.Command, names: Sequence[str], ctx: click.Context) -> dict[str, Any]:
        """The options of a command, by the names of its parameters.

        Args:
            command: the command.
            names: its name, behind those of the commands that it is within.
            ctx: of the command.

        Raises:
            ConfigurationError: a key is no option of the command, or a value is of no type that options have.
        """
        options = options_of(command, ctx)
        subcommands = set(command.list_commands(ctx)) if isinstance(command, click.Group) else set()
        values = {
            str(option.name): self._value(name, self.tables[name], option)
            for name in SHARED
            if name in self.tables and (option := options.get(name)) is not None
        }
        table = self._table(names)
        place = ".".join(names)
        for name, value in table.items():
            if name in subcommands:
                continue
            option = options.get(name)
            if option is None:
                raise self.error(f"{place}.{name}", f"no such option{nearest(name, [*options, *subcommands])}")
            values[str(option.name)] = self._value(f"{place}.{name}", value, option)
        return values

    def error(self, place: str, what: str) -> ConfigurationError:
        """What is wrong at a key."""
        return ConfigurationError(f"{self.path}: {place}: {what}")

    def _table(self, names: Iterable[str]) -> Table:
        table: Any = self.tables
        for name in names:
            table = table.get(name, {})
            if not isinstance(table, Mapping):
                raise self.error(name, "this is the name of a command, and its options stand in a table: "
                                       f"[{name}]")  # fmt: skip
        return table  # type: ignore[no-any-return] # a mapping, as was asked

    def _value(self, place: str, value: Any, option: click.Parameter) -> Any:
        is_flag = isinstance(option, click.Option) and option.is_flag
        if is_flag != isinstance(value, bool):
            raise self.error(place, f"{value!r} is not {'true or false' if is_flag else 'a value of this option'}")
        if option.multiple if isinstance(option, click.Option) else option.nargs != 1:
            return value if isinstance(value, list) else [value]
        if not isinstance(value, bool | int | float | str):
            raise self.error(place, "text in quotes, a number, true or false is expected")
        return value


def options_of(command: click.Command, ctx: click.Context) -> dict[str, click.Parameter]:
    """What may be set of a command: its options by their long names, and its arguments by theirs."""
    found: dict[str, click.Parameter] = {}
    for parameter in command.get_params(ctx):
        if isinstance(parameter, click.Argument):
            found[str(parameter.name)] = parameter
        elif not {"--help", "--version"} & {*parameter.opts}:
            found |= {name.removeprefix("--"): parameter for name in parameter.opts if name.startswith("--")}
    return found


def nearest(wrong: str, names: Sequence[str]) -> str:
    """What somebody may have meant, as the end of a sentence."""
    near = difflib.get_close_matches(wrong, names, n=1)
    return f"; did you mean {near[0]}?" if near else f"; there are {', '.join(sorted(names))}" if names else ""


def found(explicit: str | None) -> tuple[Configuration, str]:
    """The configuration that holds here, and what a person is to be told of it (empty where there is nothing).

    Args:
        explicit: the file that was asked for.

    Raises:
        ConfigurationError: it cannot be read.
    """
    if explicit is not None:
        return read(Path(explicit)), ""
    place = next((place for place in PLACES if place.is_file()), None)
    if place is None:
        return Configuration(), ""
    try:
        return read(place), ""
    except UntrustedPathError as error:
        return Configuration(), f"{place} is not read: {error}"


def read(path: Path) -> Configuration:
    """What a file says.

    Raises:
        ConfigurationError: it cannot be read, or is no TOML.
        UntrustedPathError: others may write it.
    """
    try:
        return Configuration(path, tomllib.loads(read_text(path)))
    except (OSError, UnicodeDecodeError) as error:
        raise ConfigurationError(f"{path}: the configuration cannot be read: {error}") from error
    except tomllib.TOMLDecodeError as error:
        raise ConfigurationError(f"{path}: {error}") from error


def wrong(configuration: Configuration, root: click.Group, context: click.Context) -> Iterator[str]:
    """What is wrong in a file, a sentence each: keys that there are not, and values that an option does not take."""
    commands = root.list_commands(context)
    for name, value in configuration.tables.items():
        if name in SHARED and not isinstance(value, Mapping):
            continue
        if name not in commands or not isinstance(value, Mapping):
            yield str(configuration.error(name, f"no such command or option{nearest(name, [*commands, *SHARED])}"))
            continue
        command = root.get_command(context, name)
        if command is not None:
            yield from _wrong_within(configuration, command, [name], context)


def _wrong_within(
    configuration: Configuration, command: click.Command, names: Sequence[str], parent: click.Context
) -> Iterator[str]:
    context = click.Context(command, parent=parent, info_name=names[-1])
    try:
        values = configuration.values_of(command, names, context)
    except ConfigurationError as error:
        yield str(error)
        return
    for parameter in command.get_params(context):
        if parameter.name not in values:
            continue
        try:
            parameter.process_value(context, values[parameter.name])
        except click.BadParameter as error:
            yield str(configuration.error(f"{'.'.join(names)}.{parameter.name}", error.message))
    if isinstance(command, click.Group):
        table = configuration.tables
        for name in names:
            table = table[name]
        for name in command.list_commands(context):
            below = command.get_command(context, name)
            if below is not None and isinstance(table.get(name), Mapping):
                yield from _wrong_within(configuration, below, [*names, name], context)
