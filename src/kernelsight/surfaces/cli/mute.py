"""Acknowledge a finding: it wakes nobody and leads to no action, until the mute expires or the finding changes.

A muted finding is still shown, as muted.

FAULT is a class of faults as `kernelsight diagnose --json` names it. Without --culprit, the command mutes the findings
of the last minute. With it, the finding may also be one that you expect later, such as that of tonight's backup. A
finding has changed when it has another culprit, when its confidence is higher by 0.25 or more, or when its symptom has
more than doubled.
"""

from __future__ import annotations

import time

import click

from kernelsight.diagnosis.registry import fault_classes
from kernelsight.errors import UsageError
from kernelsight.events.mute import Mute
from kernelsight.moments import to_second
from kernelsight.printable import printable
from kernelsight.query.times import parse_duration
from kernelsight.surfaces.cli.command import Command, db_path_option, examples
from kernelsight.surfaces.cli.output import Format, format_option, show


@click.command(cls=Command, help=__doc__)
@click.argument("fault", required=False, type=click.Choice([*fault_classes()]), metavar="[FAULT]")
@db_path_option
@click.option("--culprit", metavar="NAME", help="Mute only findings with this culprit: its name, its pid or its path.")
@click.option("--reason", metavar="TEXT", help="Why; the reason is shown wherever the finding would be.")
@click.option("--for", "duration", metavar="DURATION", help="How long the mute lasts, such as 8h.")
@click.option("--list", "lists", is_flag=True, help="List what is muted now.")
@format_option
@examples(
    'kernelsight mute disk_saturation --culprit backup --reason "the nightly backup" --for 8h',
    "kernelsight mute --list",
)
def mute(  # noqa: PLR0913 - one argument an option
    *,
    fault: str | None,
    db_path: str,
    culprit: str | None,
    reason: str | None,
    duration: str | None,
    lists: bool,
    form: Format,
) -> None:
    """Mute, or list what is muted."""
    from kernelsight.surfaces import muting  # noqa: PLC0415 - with it comes the diagnosis

    if lists:
        show(map(_row, muting.listed(db_path)), form, empty="nothing is muted")
        return
    if fault is None or not (reason or "").strip() or duration is None:
        raise UsageError("give a FAULT, --reason TEXT and --for DURATION; --list lists what is muted")
    lasts_ns = parse_duration(duration)
    if lasts_ns == 0:
        raise UsageError("--for 0 mutes nothing; give a duration such as 8h")
    for held in muting.mute(db_path, fault, culprit, str(reason), time.time_ns() + lasts_ns):
        whose = f" by {held.culprit}" if held.culprit else ""
        ends = f"until {to_second(held.until_ns or 0)}"
        click.echo(
            printable(f"{held.mute_id}: {held.fault}{whose} is muted {ends}; `kernelsight unmute {held.mute_id}`")
        )


def _row(held: Mute) -> dict[str, object]:
    return {
        "id": held.mute_id,
        "fault": held.fault,
        "culprit": held.culprit,
        "reason": held.reason,
        "since": to_second(held.timestamp),
        "until": to_second(held.until_ns or 0),
        "by": held.muted_by,
    }
