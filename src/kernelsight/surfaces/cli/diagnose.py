"""Say what is wrong with this machine, who causes it, who suffers, what shows it, and what to do.

The last minute by default; `--live 15` needs no database: it collects for 15 s and answers. Every
claim cites the rows that show it, and what was considered and found less likely is said too.
"""

from __future__ import annotations

import click
import msgspec

from kernelsight.diagnosis import diagnose as diagnosed
from kernelsight.diagnosis.report import report
from kernelsight.errors import UsageError
from kernelsight.query.times import parse_time
from kernelsight.surfaces.cli.command import Command, db_path_option
from kernelsight.surfaces.cli.output import printable
from kernelsight.surfaces.live import collected

_AROUND_NS = 30 * 1_000_000_000


@click.command(cls=Command, help=__doc__)
@db_path_option
@click.option("--since", metavar="TIME", help="Where the window begins, such as 60s or 14:05.  [default: 60s]")
@click.option("--until", metavar="TIME", help="Where it ends.  [default: now]")
@click.option("--at", metavar="TIME", help="A window of half a minute to either side of this moment instead.")
@click.option("--live", type=click.FloatRange(min=3), metavar="SECONDS", help="Collect for so long first; no database.")
@click.option("--json", "as_json", is_flag=True, help="Print one JSON object instead.")
def diagnose(  # noqa: PLR0913 - one argument an option
    *, db_path: str, since: str | None, until: str | None, at: str | None, live: float | None, as_json: bool
) -> None:
    """Diagnose a window."""
    if (at is not None) + (live is not None) + (since is not None or until is not None) > 1:
        raise UsageError("give one of --at, --live, and --since with --until")
    if live is not None:
        began = parse_time("now")
        with collected(live) as path:
            found = diagnosed(path, began)
    elif at is not None:
        moment = parse_time(at)
        found = diagnosed(db_path, moment - _AROUND_NS, moment + _AROUND_NS)
    else:
        found = diagnosed(db_path, since or "60s", until or "now")
    if as_json:
        click.echo(msgspec.json.encode(found))
        return
    for line in report(found):
        click.echo(printable(line))
