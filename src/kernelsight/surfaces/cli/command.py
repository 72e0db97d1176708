"""What all commands share: how they fail, and the options that several of them take."""

from __future__ import annotations

import errno
import io
import os
import signal
import sys
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar

import click
from click.core import ParameterSource

from kernelsight.errors import KernelSightError
from kernelsight.moments import in_utc
from kernelsight.stores.base import DEFAULT_DB_PATH
from kernelsight.stores.missing import telling
from kernelsight.surfaces.cli.completing import TIME
from kernelsight.surfaces.configuration import Configuration, found

if TYPE_CHECKING:
    from kernelsight.events.action import Answer

F = TypeVar("F", bound=Callable[..., Any])
_CONFIGURATION, _CONFIGURATION_FILE = f"{__name__}.configuration", f"{__name__}.configuration_file"
_CONFIGURATION_VARIABLE = "KERNELSIGHT_CONFIG"
_LONGEST_SUMMARY = 1000
LONGEST_S = 1e9
"""Thirty years: longer than anybody waits, and short enough for every clock."""


def _show_utc(ctx: click.Context, param: click.Parameter, value: bool) -> None:  # noqa: FBT001 - as click calls it
    del param
    if value:
        ctx.with_resource(in_utc())


def _keep_configuration_file(ctx: click.Context, param: click.Parameter, value: str | None) -> None:
    del param
    if value is not None:
        ctx.meta[_CONFIGURATION_FILE] = value
        os.environ[_CONFIGURATION_VARIABLE] = value  # for the parts that `start` starts


CONFIG_OPTION = click.Option(
    ["--config"],
    metavar="FILE",
    envvar=_CONFIGURATION_VARIABLE,
    show_envvar=True,
    expose_value=False,
    is_eager=True,
    callback=_keep_configuration_file,
    help="Options of commands (TOML); `kernelsight config show` prints one.  [default: ./kernelsight.toml, else "
    "/etc/kernelsight.toml]",
)
UTC_OPTION = click.Option(
    ["--utc"],
    is_flag=True,
    expose_value=False,
    is_eager=True,
    callback=_show_utc,
    help="Times in UTC, shown and taken; local time otherwise.",
)
"""Options of every command, before or after its name."""


def _names(ctx: click.Context) -> list[str]:
    """The name of a command, behind those of the commands that it is within; not of the program."""
    return [] if ctx.parent is None else [*_names(ctx.parent), str(ctx.info_name)]


def configuration(root: click.Context) -> Configuration:
    """What the configuration file says; it is read once.

    Raises:
        ConfigurationError: it cannot be read.
    """
    held: Configuration | None = root.meta.get(_CONFIGURATION)
    if held is None:
        held, told = found(root.meta.get(_CONFIGURATION_FILE))
        root.meta[_CONFIGURATION] = held
        if told:
            click.echo(f"{root.command_path}: {told}", err=True)
    return held


class _Plain(click.Command):
    """A command whose expected failures are one line on stderr and an exit code, never a traceback."""

    failed: int | None = None
    """Exit status where it fails for what its error class has no status of its own; None: that of the error."""

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        if self.help:  # in a raw docstring, click's sign for lines that stay as they are is two letters
            self.help = self.help.replace("\\b\n", "\b\n")

    def get_params(self, ctx: click.Context) -> list[click.Parameter]:
        """Its own, and what all commands have."""
        params = super().get_params(ctx)
        return params if UTC_OPTION in params else [*params, UTC_OPTION]

    @property
    def examples(self) -> tuple[str, ...]:
        """Lines to type, from :func:`examples`."""
        lines: tuple[str, ...] = getattr(self.callback, "examples", ())
        return lines

    def format_epilog(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        """Print the examples, never wrapped: they are to be copied."""
        super().format_epilog(ctx, formatter)
        if self.examples:
            with formatter.section("Examples"):
                for line in self.examples:
                    formatter.write(f"{'':{formatter.current_indent}}{line}\n")

    def parse_args(self, ctx: click.Context, args: list[str]) -> list[str]:
        """Read the command line; what it does not say is looked up in the environment, then in the configuration."""
        asks_for_help = not {*ctx.help_option_names}.isdisjoint(args)
        if ctx.parent is None or ctx.resilient_parsing or asks_for_help:
            return super().parse_args(ctx, args)
        with _failing_in_a_line(ctx, self.failed):
            held = configuration(ctx.find_root())
            ctx.default_map = held.values_of(self, _names(ctx), ctx)
            try:
                return super().parse_args(ctx, args)
            except click.BadParameter as error:
                if error.param and ctx.get_parameter_source(str(error.param.name)) is ParameterSource.DEFAULT_MAP:
                    raise click.BadParameter(f"{error.message} (from {held.path})", ctx, error.param) from error
                raise

    def invoke(self, ctx: click.Context) -> Any:
        """Run it."""
        with _failing_in_a_line(ctx, self.failed):
            return super().invoke(ctx)


@contextmanager
def _failing_in_a_line(ctx: click.Context, failed: int | None) -> Iterator[None]:
    _settle_streams()
    ctx.with_resource(telling(lambda sentence: click.echo(f"{ctx.command_path}: missing here: {sentence}", err=True)))
    if signal.getsignal(signal.SIGINT) is signal.SIG_DFL:  # as `kernelsight.__main__` set it
        signal.signal(signal.SIGINT, signal.default_int_handler)
    try:
        yield
    except KeyboardInterrupt:
        _end_by_interrupt()
    except KernelSightError as error:
        click.echo(f"{ctx.command_path}: {error}", err=True)
        ctx.exit(failed if failed is not None and error.exit_code == KernelSightError.exit_code else error.exit_code)
    except OSError as error:
        if error.errno in {errno.EMFILE, errno.ENFILE}:
            click.echo(f"{ctx.command_path}: {error.strerror}; `ulimit -n 256` lets it open what it needs", err=True)
            ctx.exit(1)
        if error.errno != errno.ENOSPC:
            raise
        # What is still in the buffer would fail once more at exit.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        click.echo(f"{ctx.command_path}: standard output cannot be written: {error.strerror}", err=True)
        ctx.exit(1)


def _end_by_interrupt() -> None:
    """End as a program that Ctrl-C ends: without a word, so that shells and loops see the signal."""
    signal.signal(signal.SIGINT, signal.SIG_DFL)
    os.kill(os.getpid(), signal.SIGINT)


def _settle_streams() -> None:
    """Let whoever reads or prints do so.

    Standard streams that were closed (`<&-`) are empty, and what the terminal's encoding cannot say (names of
    processes, paths) is written with backslashes.
    """
    for name, mode in (("stdin", "r"), ("stdout", "w"), ("stderr", "w")):
        if getattr(sys, name) is None:
            setattr(sys, name, Path(os.devnull).open(mode, encoding="utf-8"))  # noqa: SIM115 - open until the end
    if isinstance(sys.stdout, io.TextIOWrapper):
        sys.stdout.reconfigure(errors="backslashreplace")


def examples(*lines: str) -> Callable[[F], F]:
    """Give a command the lines that its `--help` ends with, as a person types them; below all other decorators."""

    def note(function: F) -> F:
        function.examples = lines  # type: ignore[attr-defined] # a function takes any attribute
        return function

    return note


class Command(_Plain):
    """A command."""


NOT_KNOWN = 3
"""Exit status of a command that cannot tell what it was asked."""
EXIT_STATUS: Mapping[Answer, int] = {"healthy": 0, "findings": 1, "unknown": NOT_KNOWN}


class Judgement(Command):
    """A command whose exit status is a verdict (:data:`EXIT_STATUS`); what cannot be read is not known either."""

    failed = NOT_KNOWN


class Group(_Plain, click.Group):
    """A command with commands of its own, which may do something by itself as well."""

    command_class = Command

    def format_commands(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        """List the commands with their whole first sentence; click cuts it at 45 characters."""
        commands = [(name, self.get_command(ctx, name)) for name in self.list_commands(ctx)]
        summaries = [
            (name, command.get_short_help_str(_LONGEST_SUMMARY))
            for name, command in commands
            if command is not None and not command.hidden
        ]
        if summaries:
            with formatter.section("Commands"):
                formatter.write_dl(summaries)


def seconds(*, or_nothing: bool = False) -> Callable[[click.Context, click.Parameter, float | None], float | None]:
    """Callback of an option of a length of time: more than nothing (or nothing too), and not endless."""

    def check(ctx: click.Context, param: click.Parameter, value: float | None) -> float | None:
        if value is None or 0 < value <= LONGEST_S or (value == 0 and or_nothing):
            return value
        raise click.BadParameter(
            f"{value:g} is not a number of seconds {'from' if or_nothing else 'above'} 0", ctx, param
        )

    return check


def _of_the_group(ctx: click.Context, param: click.Parameter, value: str | None) -> str | None:
    """What was given before the command's name, to the nearest of its groups, where nothing was given after it."""
    name, given = str(param.name), ParameterSource.COMMANDLINE
    group = None if ctx.get_parameter_source(name) is given else ctx.parent
    while group is not None and group.get_parameter_source(name) is not given:
        group = group.parent
    if group is None:
        return value
    before: str | None = group.params[name]
    return before


db_path_option = click.option(
    "--db-path",
    envvar="KERNELSIGHT_DB_PATH",
    show_envvar=True,
    default=DEFAULT_DB_PATH,
    show_default=True,
    metavar="PATH",
    callback=_of_the_group,
    help="The database: a file, or the URL of a store.",
)

interval_option = click.option(
    "--interval",
    type=float,
    callback=seconds(),
    default=1.0,
    show_default=True,
    metavar="SECONDS",
    help="Between two samples.",
)

max_cpu_option = click.option(
    "--max-cpu",
    type=click.FloatRange(0, min_open=True),
    default=1.0,
    show_default=True,
    metavar="PERCENT",
    help="Of one CPU, that collecting may use on average over a minute; above it, the dearest collectors sample fewer "
    "seconds, and their reports say so.",
)

user_option = click.option(
    "--user",
    metavar="NAME",
    help="Become this user, where root starts it.  [default: the owner of the database's directory]",
)

policy_option = click.option(
    "--policy",
    "policy_path",
    envvar="KERNELSIGHT_POLICY",
    show_envvar=True,
    metavar="FILE",
    callback=_of_the_group,
    help="What the agent may do (TOML); `kernelsight policy example` prints one.  [default: observe only]",
)


def since_option(default: str | None, meaning: str = "Start of the range.") -> Callable[[F], F]:
    """Where a range of time begins; without a default, the command says in ``meaning`` what it takes."""
    return click.option("--since", default=default, show_default=default is not None, type=TIME, help=meaning)


until_option = click.option("--until", default="now", show_default=True, type=TIME, help="Where it ends.")
