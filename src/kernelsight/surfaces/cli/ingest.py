"""Store the events from standard input, one JSON object a line.

Every line is accounted for: stored, or kept in rejected_events with the reason, or dropped and
counted; `kernelsight status` shows the books. On SIGTERM, on Ctrl-C and at the end of the input, the daemon first
stores the events that are in memory. SIGUSR1 prints the books to stderr.
"""

from __future__ import annotations

import sys
from collections.abc import Sequence

import click

from kernelsight.ingest import daemon
from kernelsight.surfaces.cli.command import Command, db_path_option, examples, seconds, user_option
from kernelsight.surfaces.keeping import keeping_options, limits_of
from kernelsight.surfaces.unprivileged import serve_as_owner


def _permissions(ctx: click.Context, param: click.Parameter, value: str | None) -> int | None:
    if value is None:
        return None
    if not value.isascii() or not value.isdigit() or set(value) & {"8", "9"} or int(value, 8) & ~0o666:
        raise click.BadParameter(f"{value!r}: name permissions of a file, such as 0640", ctx, param)
    return int(value, 8) | 0o600


@click.command(cls=Command, help=__doc__)
@db_path_option
@click.option(
    "--batch-size",
    type=click.IntRange(min=1),
    default=100,
    show_default=True,
    metavar="EVENTS",
    help="Commit when this many events wait.",
)
@click.option(
    "--batch-timeout",
    type=float,
    callback=seconds(),
    default=1.0,
    show_default=True,
    metavar="SECONDS",
    help="Commit when events have waited for this long.",
)
@click.option(
    "--complete-since",
    "complete_since_ns",
    type=int,
    metavar="NS",
    help="All lines that `collect` prints since then (ns since the epoch) come in here, so what is missing is counted.",
)
@click.option(
    "--mode",
    callback=_permissions,
    metavar="OCTAL",
    help="Permissions of a new database.  [default: 0600, or 0640 for the group kernelsight where it exists]",
)
@keeping_options()
@user_option
@click.option("--init-only", is_flag=True, help="Make the database and its tables, and exit.")
@click.option("--verbose", "-v", is_flag=True, help="Print more messages on stderr.")
@click.option("--brief", is_flag=True, help="At the end, print the books only if a line was not stored.")
@examples(
    "sudo kernelsight collect | kernelsight ingest",
    "sudo kernelsight collect | kernelsight ingest --keep 90d --keep process=7d --max-disk 20GB",
    "kernelsight ingest --init-only --db-path archive.db",
)
def ingest(  # noqa: PLR0913 - one argument an option
    *,
    db_path: str,
    batch_size: int,
    batch_timeout: float,
    mode: int | None,
    keep_sql: Sequence[str],
    keep: Sequence[str],
    keep_rollups: Sequence[str],
    max_disk: str | None,
    user: str | None,
    complete_since_ns: int | None,
    init_only: bool,
    verbose: bool,
    brief: bool,
) -> None:
    """Run the ingestion daemon on standard input."""
    limits = limits_of(keep_sql, keep, keep_rollups, max_disk)
    serve_as_owner(db_path, ["ingest"], user, starts_python=True)
    if init_only:
        daemon.init(db_path, mode)
        click.echo(f"{db_path} is ready", err=True)
        return
    settings = daemon.Settings(
        batch_size=batch_size,
        batch_timeout_s=batch_timeout,
        limits=limits,
        complete_since_ns=complete_since_ns,
        verbose=verbose,
        brief=brief,
    )
    code = daemon.run(sys.stdin.fileno(), db_path, settings, sys.stderr)
    click.get_current_context().exit(code)
