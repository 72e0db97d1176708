r"""Ask about this machine in plain words: why something was slow, who used most, when it began, what changed.

Every answer cites the rows that show it. Without a question, what is wrong is investigated; on a terminal,
--chat goes on asking, and remembers what was said. Where there is a key (GEMINI_API_KEY or GOOGLE_API_KEY) a Gemini
model investigates; without one, or with --offline, the diagnosis and the query API answer what they can, and what
they can't is said. A question may name a time (`around 14:05`, `in the last 10 minutes`); --since and --until say
it for those that don't.

Exit status:

\b
    0  answered, whatever the answer is
    1  the database cannot be read
    2  what was asked cannot be asked
    3  not known: what the answer needs was not recorded, or cannot be told
"""

from __future__ import annotations

import sys
from collections.abc import Iterator

import click

from kernelsight.agent.budget import Budget
from kernelsight.agent.gemini.settings import has_key, has_package
from kernelsight.agent.reasoner import AUTO, Question, Reasoner, reasoner
from kernelsight.errors import KernelSightError
from kernelsight.surfaces.cli.command import (
    NOT_KNOWN,
    Command,
    db_path_option,
    examples,
    seconds,
    since_option,
    until_option,
)

_BUDGET = Budget()
_LEAVE = frozenset({"exit", "quit", "bye", ":q"})


@click.command(cls=Command, help=__doc__)
@click.argument("question", nargs=-1, metavar="[QUESTION]...")
@db_path_option
@since_option("10m", "Start of the time range.")
@until_option
@click.option("--chat", is_flag=True, help="Take questions, one a line, until the input ends.")
@click.option("--offline", is_flag=True, help="Ask no model, even if there is a key.")
@click.option("--model", envvar="KERNELSIGHT_MODEL", show_envvar=True, metavar="NAME", help="Which Gemini model.")
@click.option(
    "--max-steps",
    type=click.IntRange(min=1),
    default=_BUDGET.steps,
    show_default=True,
    help="Most requests to the model for one answer.",
)
@click.option(
    "--max-tokens",
    type=click.IntRange(min=1),
    default=_BUDGET.tokens,
    show_default=True,
    help="Most tokens for one answer, input and output together.",
)
@click.option(
    "--max-seconds",
    type=float,
    callback=seconds(),
    default=_BUDGET.seconds,
    show_default=True,
    help="For one answer.",
)
@click.option("--json", "as_json", is_flag=True, help="Print each answer as one JSON object.")
@examples(
    'kernelsight ask "is any disk full, and who filled it?"',
    'kernelsight ask "why was postgres slow around 14:05?"',
)
def ask(  # noqa: PLR0913 - one argument an option
    *,
    question: tuple[str, ...],
    db_path: str,
    since: str,
    until: str,
    chat: bool,
    offline: bool,
    model: str | None,
    max_steps: int,
    max_tokens: int,
    max_seconds: float,
    as_json: bool,
) -> None:
    """Ask once, or go on asking."""
    from kernelsight.query.times import time_range  # noqa: PLC0415 - with it comes the query API

    budget = Budget(max_steps, max_tokens, max_seconds)
    who = reasoner("offline" if offline else AUTO, db_path, budget, model)
    if not offline and has_key() and not has_package():
        click.echo(
            "there is a key for a model, but its package is not installed: pip install 'kernelsight[agent]'", err=True
        )
    first, known = " ".join(question), True
    if first or not chat:
        known = _answer(who, Question(time_range(since, until), first), as_json=as_json)
    if not chat and not known:
        click.get_current_context().exit(NOT_KNOWN)
    if chat:
        for text in _questions():
            # A question that cannot be answered does not end the conversation.
            try:
                _answer(who, Question(time_range(since, until), text), as_json=as_json)
            except KernelSightError as error:
                click.echo(str(error), err=True)


def _answer(who: Reasoner, question: Question, *, as_json: bool) -> bool:
    """Ask, and print what there is to say; whether it is an answer."""
    import msgspec  # noqa: PLC0415 - only answers need them

    from kernelsight.agent.report import lines  # noqa: PLC0415
    from kernelsight.printable import printable  # noqa: PLC0415
    from kernelsight.surfaces.cli.output import print_lines, show_json  # noqa: PLC0415

    report = who.ask(question, lambda line: click.echo(f"  … {printable(line)}", err=True))
    if as_json:
        show_json({**msgspec.to_builtins(report), "known": report.is_known})
    else:
        print_lines(lines(report))
    return report.is_known


def _questions() -> Iterator[str]:
    """What is typed, line by line; a prompt is for a person."""
    prompt = sys.stdin.isatty()
    if prompt:
        import readline  # noqa: F401, PLC0415 - editing of the line, and what was typed before

        click.echo("Ask; an empty line or Ctrl-D ends.", err=True)
    while True:
        try:
            line = input("> " if prompt else "").strip()
        except (EOFError, KeyboardInterrupt):
            return
        if not line or line.lower() in _LEAVE:
            if prompt or line:
                return
            continue
        yield line
