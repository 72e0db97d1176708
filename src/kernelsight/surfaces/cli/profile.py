"""Show what programs compute: functions and call paths by their share of the CPU time.

The last minute by default; `--live 5` needs no database: it samples 99 times a second for 5 s. The kernel follows frame
pointers. Where code has none, the innermost function is right, and its callers are missing: `[unwound to here]`.
"""

from __future__ import annotations

from contextlib import ExitStack
from pathlib import Path
from typing import TYPE_CHECKING

import click

from kernelsight.errors import KernelSightError, UsageError
from kernelsight.query.source import opened
from kernelsight.query.times import Time, parse_time, time_range
from kernelsight.surfaces.cli.command import Command, db_path_option, examples, since_option
from kernelsight.surfaces.cli.completing import TIME
from kernelsight.surfaces.cli.output import show_json
from kernelsight.surfaces.live import collected, recorded_time
from kernelsight.trusted_paths import replace_bytes

if TYPE_CHECKING:
    from kernelsight.profiles.profile import Profile

_LIVE = ("stacks", "process", "-o", "stack_hz=99")


_STANDARD_OUTPUT = Path("-")


def _written(file: Path, content: bytes) -> None:
    if file == _STANDARD_OUTPUT:
        click.echo(content, nl=False)
        return
    try:
        replace_bytes(file, content)
    except OSError as error:
        raise KernelSightError(f"{file}: cannot be written: {error.strerror}") from error


def _write_files(profile: Profile, title: str, html: Path | None, pprof: Path | None) -> None:
    from kernelsight.profiles import report as reports  # noqa: PLC0415 - with them comes numpy

    if html is not None:
        _written(html, reports.flame_graph(profile, title).encode())
    if pprof is not None:
        _written(pprof, reports.pprof(profile))


_file = click.Path(dir_okay=False, path_type=Path)


@click.command(cls=Command, help=__doc__)
@db_path_option
@since_option(None, "Where the window begins, such as 60s or 14:05.  [default: 60s]")
@click.option("--until", type=TIME, help="Where it ends.  [default: now]")
@click.option(
    "--live", type=click.FloatRange(min=1), metavar="SECONDS", help="Sample for this long; needs no database."
)
@click.option("--against", type=TIME, help="Begin of an earlier window of the same length to compare with.")
@click.option("--pid", type=click.IntRange(min=1), help="Of this process alone.")
@click.option("--comm", help="Of processes of this name alone.")
@click.option("--cgroup", metavar="PATH", help="Of the processes of this control group and those below it.")
@click.option("--service", metavar="NAME", help="Of the processes of this unit, container or pod.")
@click.option(
    "--limit", type=click.IntRange(min=1), default=15, show_default=True, help="Functions, and paths, to show."
)
@click.option("--json", "as_json", is_flag=True, help="Print one JSON object instead.")
@click.option("--folded", is_flag=True, help="Print one line for each path, as flame-graph tools read it.")
@click.option("--html", type=_file, metavar="FILE", help="Also write a flame graph; - is standard output.")
@click.option("--pprof", type=_file, metavar="FILE", help="Also write a gzipped file for pprof; - is standard output.")
@examples(
    "sudo kernelsight profile --live 5",
    "kernelsight profile --since 5m --service postgresql",
    "kernelsight profile --pid 4182 --since 14:00 --until 14:05 --html flame.html",
    "kernelsight profile --since 5m --against 1h",
)
def profile(  # noqa: PLR0913 - one argument an option
    *,
    db_path: str,
    since: str | None,
    until: str | None,
    live: float | None,
    against: str | None,
    pid: int | None,
    comm: str | None,
    cgroup: str | None,
    service: str | None,
    limit: int,
    as_json: bool,
    folded: bool,
    html: Path | None,
    pprof: Path | None,
) -> None:
    """Show what programs compute."""
    from kernelsight.profiles import report as reports  # noqa: PLC0415 - with them comes numpy
    from kernelsight.profiles.profile import profile as profiled  # noqa: PLC0415

    if live is not None and (since is not None or until is not None or against is not None):
        raise UsageError("give either --live, or --since with --until and --against")
    if len([choice for choice in (pid, cgroup, service) if choice is not None]) > 1:
        raise UsageError("give one of --pid, --cgroup and --service")
    if html == pprof == _STANDARD_OUTPUT:
        raise UsageError("give a file to --html or to --pprof: only one of them can be standard output")
    start: Time = since or "60s"
    end: Time = until or "now"
    with ExitStack() as stack:
        if live is not None:
            start = parse_time("now")
            db_path = stack.enter_context(collected(live, *_LIVE))
            start, end = recorded_time(db_path, start, parse_time("now"))
        when = time_range(start, end)
        with opened(db_path) as reader:
            where = reports.conditions_of(reader, when, pid=pid, comm=comm, cgroup=cgroup, service=service)
            profile_read = profiled(reader, when.start_ns, when.end_ns, where)
            earlier = None
            if against is not None:
                began = parse_time(against)
                earlier = profiled(reader, began, began + when.end_ns - when.start_ns, where)
    title = reports.titled(pid=pid, comm=comm, cgroup=cgroup, service=service)
    _write_files(profile_read, title, html, pprof)
    if _STANDARD_OUTPUT in {html, pprof}:
        return
    if as_json:
        show_json(reports.told(profile_read, earlier, limit))
    else:
        lines = reports.folded(profile_read) if folded else reports.lines(profile_read, earlier, limit)
        for line in lines:
            click.echo(line)
