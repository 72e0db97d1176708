r"""Say what changed on this machine: settings of the kernel, mounts, packages, programs.

With --at, what changed in the quarter of an hour before a moment and just after it. A change is no cause:
`kernelsight diagnose` says which changes touch what it found.

\b
Exit status:
    0  the changes of the range are known, there may be none
    2  what was asked cannot be asked
    3  not known: nobody watched for changes in that time, or the database cannot be read
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING

import click

from kernelsight.printable import printable
from kernelsight.surfaces.cli.command import NOT_KNOWN, Judgement, db_path_option, examples, since_option
from kernelsight.surfaces.cli.completing import TIME
from kernelsight.surfaces.cli.output import Format, format_option, show
from kernelsight.surfaces.tables import Shape

if TYPE_CHECKING:
    from kernelsight.diagnosis.model import Change
    from kernelsight.query.rows import Row

_SHAPE = Shape(first=("time", "change", "subject"))


@click.command(cls=Judgement, help=__doc__)
@db_path_option
@since_option(None, "Start of the range.  [default: 1h]")
@click.option("--until", type=TIME, help="Where it ends.  [default: now]")
@click.option("--at", type=TIME, help="Look at the time shortly before this moment.")
@format_option
@click.pass_context
@examples("kernelsight changes --since 1d", "kernelsight changes --at 14:05")
def changes(  # noqa: PLR0913 - one argument an option
    context: click.Context, *, db_path: str, since: str | None, until: str | None, at: str | None, form: Format
) -> None:
    """List changes."""
    from kernelsight.diagnosis.changed import changes as changed  # noqa: PLC0415 - with it comes the diagnosis
    from kernelsight.diagnosis.changed import changes_before, not_watched  # noqa: PLC0415
    from kernelsight.errors import UsageError  # noqa: PLC0415

    if at is not None and (since is not None or until is not None):
        raise UsageError("give either --at, or --since with --until")
    found = changed(db_path, since or "1h", until or "now") if at is None else changes_before(db_path, at)
    show(_rows(found.changes, whole=form != "table"), form, empty=f"no change is known {found.when}", shape=_SHAPE)
    for sentence in not_watched(found.watched, found.when):
        click.echo(printable(sentence), err=True)
    if not found.changes and all(
        watch.since_ns is None or watch.since_ns > found.when.end_ns for watch in found.watched
    ):
        context.exit(NOT_KNOWN)


def _rows(changes: tuple[Change, ...], *, whole: bool) -> Iterator[Row]:
    from kernelsight.moments import format_time  # noqa: PLC0415 - as above

    for change in changes:
        row: Row = {
            "time": format_time(change.at_ns),
            "not_before": None if change.after_ns is None else format_time(change.after_ns),
            "subject": change.subject,
            "change": change.claim,
            "other_days": change.other_days,
        }
        if whole:
            its = {(evidence.table, number) for evidence in change.evidence for number in evidence.row_ids}
            rows = ", ".join(f"{table} {number}" for table, number in sorted(its))
            row = {"timestamp": change.at_ns, "after_ns": change.after_ns, "item": change.item, **row, "rows": rows}
        yield row
