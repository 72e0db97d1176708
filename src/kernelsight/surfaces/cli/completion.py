"""Print the script with which a shell completes commands, tables, metrics and times on the Tab key."""

from __future__ import annotations

import click
from click.shell_completion import get_completion_class

from kernelsight.surfaces.cli.command import Command, examples

_PROGRAM = "kernelsight"
_VARIABLE = "_KERNELSIGHT_COMPLETE"


@click.command(cls=Command, help=__doc__)
@click.argument("shell", type=click.Choice(["bash", "zsh", "fish"]))
@examples(
    'eval "$(kernelsight completion bash)"   # in ~/.bashrc',
    'eval "$(kernelsight completion zsh)"    # in ~/.zshrc',
    "kernelsight completion fish > ~/.config/fish/completions/kernelsight.fish",
)
def completion(*, shell: str) -> None:
    """Print the script of a shell."""
    context = click.get_current_context()
    complete = get_completion_class(shell)
    assert complete is not None  # the choices are those that click has
    # Not source(), which runs bash to ask its version.
    script = complete(context.find_root().command, {}, _PROGRAM, _VARIABLE)
    click.echo(script.source_template % script.source_vars())
