"""Check what a policy file allows the agent to do, or print one to begin with."""

from __future__ import annotations

import time

import click
import msgspec

from kernelsight.moments import wall_clock
from kernelsight.surfaces.cli.command import Group, examples
from kernelsight.surfaces.cli.output import Format, format_option, show

_EXAMPLE = """\
# What the agent may do. Give it with --policy FILE; others must not be able to write the file.
#   observe  the agent proposes nothing and does nothing (also without a policy)
#   propose  the agent works out what it would write, and records it
#   approve  as propose; the agent acts once a person approves (kernelsight agent approve ID)
#   auto     the agent acts at once, but only with actions that are marked "auto" below
mode = "approve"

[protect]                      # beside pid 1, the kernel's threads, sshd, systemd and the system itself
names = ["postgres*"]          # of processes, or of the files that they run
users = []                     # numbers
groups = ["/system.slice/*"]   # paths of control groups

[rates]                        # of what the agent does by itself
per_hour = 6
at_once = 2                    # actions whose effect is not verified yet
same_target_pause_s = 900      # pause for a target after an action that did not help

[verification]
settle_s = 5
observe_s = 15
keep_s = 1800                  # then an action that helped is undone, too; 0 keeps it

[[windows]]                    # hours in which `auto` holds; without any, always
days = ["mon", "tue", "wed", "thu", "fri"]
from = "08:00"
to = "18:00"

[actions.renice]
mode = "auto"
least_confidence = 0.9
most_nice = 10

[actions.limit_cpu]
mode = "approve"
least_share = 0.25             # of all CPUs

[actions.sysctl]
mode = "propose"
allowed = { "net.ipv4.tcp_tw_reuse" = ["1"] }
"""


@click.group(cls=Group, help=__doc__)
@examples(
    "kernelsight policy example > policy.toml",
    "kernelsight policy check policy.toml",
)
def policy() -> None:
    """Questions about policies."""


@policy.command()
@click.argument("path", metavar="FILE")
@format_option
def check(*, path: str, form: Format) -> None:
    """Read a policy file, and say what each action may do now. An error names the line."""
    from kernelsight.agent.acting.action import actions  # noqa: PLC0415 - with it come all actions
    from kernelsight.agent.acting.policy_file import load  # noqa: PLC0415

    policy_read = load(path)
    now = wall_clock(time.time_ns())
    show(
        (
            {
                "action": action.name,
                "mode": policy_read.rule(action).mode,
                "now": policy_read.mode_of(action, now),
                "least_confidence": policy_read.rule(action).least_confidence,
                "limits": msgspec.json.encode(policy_read.rule(action).limits).decode(),
            }
            for action in actions().values()
        ),
        form,
    )


@policy.command()
def example() -> None:
    """Print an example policy to start from."""
    click.echo(_EXAMPLE, nl=False)
