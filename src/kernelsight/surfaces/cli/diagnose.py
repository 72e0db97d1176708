r"""Say what is wrong with this machine: the fault, its culprit, its victims, the evidence, and the remedies.

The last minute by default; `--live 15` needs no database: it collects for 15 s and answers. Where that leaves doubt, it
takes one closer look for some seconds more, and says which and why (docs/probes.md). Every claim cites the rows
that show it. Less likely explanations are listed, too.

Exit status:

\b
    0  healthy: nobody suffers, as far as was recorded; faults that this cannot exclude are named
    1  findings
    2  what was asked cannot be asked
    3  not known: the window, or what an answer needs, was not recorded, or the database cannot be read
"""

from __future__ import annotations

from contextlib import ExitStack
from pathlib import Path

import click

from kernelsight.agent.commands import command
from kernelsight.diagnosis import diagnose as diagnosed
from kernelsight.diagnosis.evidence_series import series_by_evidence
from kernelsight.diagnosis.page import page
from kernelsight.diagnosis.probe import probes
from kernelsight.diagnosis.report import report
from kernelsight.errors import KernelSightError, UsageError
from kernelsight.query.times import Time, parse_time
from kernelsight.surfaces.cli.command import EXIT_STATUS, Judgement, db_path_option, examples, since_option
from kernelsight.surfaces.cli.completing import TIME
from kernelsight.surfaces.cli.output import print_lines, show_json
from kernelsight.surfaces.live import collected, recorded_time
from kernelsight.surfaces.probing import probed
from kernelsight.trusted_paths import replace_text

_AROUND_NS = 30 * 1_000_000_000


def _in_a_directory(ctx: click.Context, param: click.Parameter, value: Path | None) -> Path | None:
    """What cannot be written is said before anything is looked at."""
    if value is not None and not value.parent.is_dir():
        raise click.BadParameter(f"{value}: there is no such directory", ctx, param)
    return value


def _write(file: Path, text: str) -> None:
    if str(file) == "-":
        click.echo(text)
        return
    try:
        replace_text(file, text)
    except OSError as error:
        raise KernelSightError(f"{file}: cannot be written: {error.strerror}") from error


@click.command(cls=Judgement, help=__doc__)
@db_path_option
@since_option(None, "Where the window begins, such as 60s or 14:05.  [default: 60s]")
@click.option("--until", type=TIME, help="Where it ends.  [default: now]")
@click.option(
    "--at",
    type=TIME,
    help="Look at a window from 30 s before this moment to 30 s after it.",
)
@click.option(
    "--live", type=click.FloatRange(min=3), metavar="SECONDS", help="Collect for this long first; needs no database."
)
@click.option(
    "--probes/--no-probes", default=True, help="With --live: take a closer look where the answer leaves doubt."
)
@click.option(
    "--probe",
    "asked_for",
    multiple=True,
    type=click.Choice([*probes()]),
    help="With --live: take this closer look in any case; may be given several times.",
)
@click.option(
    "-v",
    "--verbose",
    is_flag=True,
    help="Cite the rows of each claim, draw their courses, name all that was ruled out.",
)
@click.option("--json", "as_json", is_flag=True, help="Print one JSON object instead.")
@click.option(
    "--html",
    metavar="FILE",
    type=click.Path(dir_okay=False, path_type=Path),
    callback=_in_a_directory,
    help="Also write an HTML page with plots; - is standard output.",
)
@examples(
    "kernelsight diagnose --since 5m",
    "sudo kernelsight diagnose --live 15",
    "kernelsight diagnose --since 14:00 --until 14:10 --json",
)
def diagnose(  # noqa: PLR0913 - one argument an option
    *,
    db_path: str,
    since: str | None,
    until: str | None,
    at: str | None,
    live: float | None,
    probes: bool,
    asked_for: tuple[str, ...],
    verbose: bool,
    as_json: bool,
    html: Path | None,
) -> None:
    """Diagnose a window."""
    if (at is not None) + (live is not None) + (since is not None or until is not None) > 1:
        raise UsageError("give one of --at, --live, and --since with --until")
    if asked_for and (live is None or not probes):
        raise UsageError("--probe goes with --live, and not with --no-probes")
    start: Time = since or "60s"
    end: Time = until or "now"
    with ExitStack() as stack:
        if live is not None:
            start = parse_time("now")
            db_path = stack.enter_context(collected(live))
            start, end = recorded_time(db_path, start, parse_time(end))
        elif at is not None:
            moment, now = parse_time(at), parse_time("now")
            start, end = moment - _AROUND_NS, moment + _AROUND_NS if moment > now else min(moment + _AROUND_NS, now)
        diagnosis = diagnosed(db_path, start, end)
        if live is not None and probes:
            diagnosis = probed(db_path, diagnosis, asked_for)
        drawn = series_by_evidence(db_path, diagnosis) if html is not None or (verbose and not as_json) else {}
    if html is not None:
        _write(html, page(diagnosis, drawn, command))
    if as_json:
        show_json(diagnosis)
    else:
        print_lines(report(diagnosis, drawn, command, verbose=verbose))
    click.get_current_context().exit(EXIT_STATUS[diagnosis.verdict])
