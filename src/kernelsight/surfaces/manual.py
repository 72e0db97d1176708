"""Manual pages (man(7)) of all commands, made from the same declarations as docs/cli.md."""

from __future__ import annotations

import inspect
import re
from collections.abc import Iterator

import click

_SECTION = "1"


def manual_pages(cli: click.Command, version: str) -> dict[str, str]:
    """The pages: file name → text.

    Args:
        cli: the program.
        version: of the program.
    """
    return {
        f"{_name(context)}.{_SECTION}": "\n".join(_page(context, version)) + "\n"
        for context in commands(click.Context(cli, info_name=cli.name))
    }


def commands(context: click.Context) -> Iterator[click.Context]:
    """The contexts of a command and of all below it that are not hidden."""
    yield context
    if isinstance(context.command, click.Group):
        for name in context.command.list_commands(context):
            command = context.command.get_command(context, name)
            if command is not None and not command.hidden:
                yield from commands(click.Context(command, parent=context, info_name=name))


def _name(context: click.Context) -> str:
    return context.command_path.replace(" ", "-")


def _page(context: click.Context, version: str) -> Iterator[str]:
    command = context.command
    summary, _, rest = inspect.cleandoc(command.help or "").partition("\n\n")
    yield f'.TH "{_name(context).upper()}" {_SECTION} "" "kernelsight {version}" "KernelSight"'
    yield ".SH NAME"
    yield _escaped(f"{_name(context)} - {' '.join(summary.split()).removesuffix('.')}")
    yield ".SH SYNOPSIS"
    yield f".B {_escaped(context.command_path)}"
    yield _escaped(" ".join(command.collect_usage_pieces(context)))
    if rest:
        yield ".SH DESCRIPTION"
        yield from _paragraphs(rest)
    options = [option.get_help_record(context) for option in command.get_params(context)]
    if records := [record for record in options if record is not None]:
        yield ".SH OPTIONS"
        for names, meaning in records:
            yield ".TP"
            yield f".B {_escaped(names)}"
            yield _escaped(meaning)
    if examples := getattr(command, "examples", ()):
        yield from (".SH EXAMPLES", ".nf", *map(_escaped, examples), ".fi")
    yield ".SH SEE ALSO"
    yield ", ".join(_escaped(f"{name}({_SECTION})") for name in _related(context))


def _paragraphs(text: str) -> Iterator[str]:
    """Paragraphs; those behind click's sign for it (a backspace) as they are laid out."""
    for paragraph in text.split("\n\n"):
        yield ".PP"
        if paragraph.startswith("\b\n"):
            yield from (".nf", *map(_escaped, paragraph.split("\n")[1:]), ".fi")
        else:
            yield _escaped(" ".join(paragraph.split()))


def _related(context: click.Context) -> Iterator[str]:
    if context.parent is not None:
        yield _name(context.parent)
    if isinstance(context.command, click.Group):
        for name in context.command.list_commands(context):
            command = context.command.get_command(context, name)
            if command is not None and not command.hidden:
                yield f"{_name(context)}-{name}"


def _escaped(text: str) -> str:
    """Text that roff takes for text: no line begins a request, and no backslash, dash or quote is anything else."""
    safe = text.replace("\\", "\\e").replace("-", "\\-").replace("'", "\\(aq").replace("`", "\\(ga")
    return re.sub(r"^(?=\.)", r"\\&", safe, flags=re.MULTILINE)
