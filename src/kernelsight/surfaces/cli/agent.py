"""Look after this machine: find faults, forecast which resources run out, and act as far as a policy allows.

Without a policy it only observes and records. It looks every --interval seconds, and as soon as the kernel says that
tasks stall; in between it sleeps. Every step is written down before it is taken (`kernelsight agent history`), an
action is kept only if the telemetry shows that it helped, and it is undone otherwise.

With --once the exit status is the verdict: 0 healthy, 1 findings, 3 not known (nothing was recorded, or the database
cannot be read).
"""

from __future__ import annotations

import click

from kernelsight.errors import UsageError
from kernelsight.surfaces.cli.command import (
    EXIT_STATUS,
    Group,
    Judgement,
    db_path_option,
    examples,
    policy_option,
    seconds,
    since_option,
    until_option,
)
from kernelsight.surfaces.cli.output import Format, format_option, show, show_json


@click.group(cls=Group, help=__doc__, invoke_without_command=True)
@db_path_option
@policy_option
@click.option(
    "--interval",
    type=float,
    callback=seconds(),
    default=60.0,
    show_default=True,
    metavar="SECONDS",
    help="Time between two looks while the machine is healthy.",
)
@click.option("--once", is_flag=True, help="Look once, and end.")
@click.option(
    "--reasoner",
    metavar="NAME",
    help="Ask this model about new findings, too: gemini; or auto: gemini if there is a key.",
)
@click.pass_context
@examples(
    "kernelsight agent --once",
    "kernelsight agent --interval 30 --policy policy.toml",
)
def agent(  # noqa: PLR0913 - one argument an option
    ctx: click.Context, *, db_path: str, policy_path: str | None, interval: float, once: bool, reasoner: str | None
) -> None:
    """Run the loop, unless a command of the agent was given."""
    if ctx.invoked_subcommand is not None:
        return
    from kernelsight.surfaces.agent import run  # noqa: PLC0415 - with it come the diagnosis and all actions
    from kernelsight.surfaces.stopping import stop_on_signals  # noqa: PLC0415
    from kernelsight.surfaces.unprivileged import serve_as_owner  # noqa: PLC0415

    if policy_path is None:
        serve_as_owner(db_path, ["query", "ingest", "signals", "anomalies", "diagnosis", "agent"], fenced=False)
    verdict = run(db_path, policy_path, interval, stop_on_signals(), once=once, heard=reasoner)
    if verdict is not None:
        ctx.exit(EXIT_STATUS[verdict])


@agent.command()
@db_path_option
@since_option("24h")
@until_option
@format_option
def history(*, db_path: str, since: str, until: str, form: Format) -> None:
    """List the agent's findings, forecasts and actions."""
    from kernelsight.query import time_range  # noqa: PLC0415 - as below
    from kernelsight.surfaces.trace import events  # noqa: PLC0415 - with it comes the query API

    when = time_range(since, until)
    rows = events(db_path, since, until)
    columns = ("time", "id", "kind", "what", "state", "proof", "why") if form == "table" else ()
    show(rows, form, empty=f"the agent recorded nothing {when}", columns=columns)


@agent.command("show")
@db_path_option
@click.argument("name", metavar="ID")
def show_(*, db_path: str, name: str) -> None:
    """Show one action or one diagnosis: every step, with what was written where, or all of its evidence."""
    from kernelsight.surfaces.agent import say  # noqa: PLC0415 - as above
    from kernelsight.surfaces.trace import lines  # noqa: PLC0415

    steps_shown = list(lines(db_path, name))
    if not steps_shown:
        raise UsageError(f"nothing is recorded under {name!r}; `kernelsight agent history` lists what there is")
    for line in steps_shown:
        say(line)


@agent.command("actions")
@format_option
def actions_(*, form: Format) -> None:
    """List all actions that exist."""
    from kernelsight.agent.acting.action import actions  # noqa: PLC0415 - as above

    show(
        (
            {
                "action": action.name,
                "for": ", ".join(action.targets),
                "parameters": ", ".join(action.asked.__struct_fields__) or None,
                "what it does": action.meaning,
            }
            for action in actions().values()
        ),
        form,
    )


@agent.command()
@db_path_option
@policy_option
@click.argument("action")
@click.argument("target", default="machine")
@click.option("--set", "parameters", multiple=True, metavar="NAME=VALUE", help="A parameter of the action.")
@click.option("--yes", is_flag=True, help="Do it. Without this option, the command only shows what it would write.")
def do(  # noqa: PLR0913 - one argument an option
    *, db_path: str, policy_path: str | None, action: str, target: str, parameters: tuple[str, ...], yes: bool
) -> None:
    """Take an action by name: TARGET is a pid, the path of a control group, or `machine`."""
    from kernelsight.surfaces.agent import do_for_person  # noqa: PLC0415 - as above

    do_for_person(db_path, policy_path, action, target, parameters, yes=yes)


@agent.command()
@db_path_option
@policy_option
@click.argument("name", metavar="ID")
def approve(*, db_path: str, policy_path: str | None, name: str) -> None:
    """Do what the agent proposed, exactly as it was recorded, if it still holds."""
    from kernelsight.surfaces.agent import approve_proposal  # noqa: PLC0415 - as above

    approve_proposal(db_path, policy_path, name)


@agent.command()
@db_path_option
@policy_option
@click.argument("name", metavar="ID")
@click.option("--why", default="a person said no", show_default=True, metavar="TEXT", help="For the record.")
def decline(*, db_path: str, policy_path: str | None, name: str, why: str) -> None:
    """Turn down a proposal of the agent; the agent does not repeat it for a while."""
    from kernelsight.surfaces.agent import decline_proposal  # noqa: PLC0415 - as above

    decline_proposal(db_path, policy_path, name, why)


@agent.command()
@db_path_option
@policy_option
@click.argument("name", metavar="ID")
def undo(*, db_path: str, policy_path: str | None, name: str) -> None:
    """Undo an action of the agent or of a person: write the old values back."""
    from kernelsight.surfaces.agent import undo_action  # noqa: PLC0415 - as above

    undo_action(db_path, policy_path, name)


@agent.group(cls=Group)
@examples("kernelsight agent audit verify")
def audit() -> None:
    """Check the record of actions against what this user keeps outside the database."""


@audit.command(cls=Judgement)
@db_path_option
@click.option("--json", "as_json", is_flag=True, help="Print one JSON object instead.")
@click.pass_context
@examples("kernelsight agent audit verify", "kernelsight agent audit verify --json")
def verify(ctx: click.Context, *, db_path: str, as_json: bool) -> None:
    """Check that every recorded step is proven and that no step is missing.

    Exit status: 0 all are; 1 steps are changed, missing, or sealed by nobody; 3 not known: steps of another user, no
    key, or the database cannot be read.
    """
    from kernelsight.surfaces.auditing import EXIT_OF_AUDIT, audit_of, lines_of_audit  # noqa: PLC0415 - as above

    audit = audit_of(db_path)
    if as_json:
        show_json(audit)
    else:
        for line in lines_of_audit(audit):
            click.echo(line)
    ctx.exit(EXIT_OF_AUDIT[audit.answer])


@audit.command()
@db_path_option
@click.option(
    "--yes",
    is_flag=True,
    help="Do it. Without this option, the command only lists the steps that it would no longer look for.",
)
@examples("kernelsight agent audit restart --yes")
def restart(*, db_path: str, yes: bool) -> None:
    """Begin a new chain, after somebody removed steps or the whole database on purpose.

    What is missing up to now is not looked for any more. Steps that are still there stay proven.
    """
    from kernelsight.surfaces.auditing import restart_chain  # noqa: PLC0415 - as above

    click.echo(restart_chain(db_path, yes=yes))
