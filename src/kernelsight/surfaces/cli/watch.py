"""Look for signals and anomalies in the events as they come, until Ctrl-C.

This is `kernelsight signals watch` and `kernelsight anomalies watch` in one process, which takes less memory than two;
`kernelsight start` runs it. It waits for the database where there is none yet.
"""

from __future__ import annotations

import click

from kernelsight.surfaces.cli.command import Command, db_path_option, examples
from kernelsight.surfaces.looking import every_option, keep_looking
from kernelsight.surfaces.stopping import stop_on_signals
from kernelsight.surfaces.unprivileged import serve_as_owner


@click.command(cls=Command, help=__doc__)
@db_path_option
@every_option
@examples("kernelsight watch --every 10")
def watch(*, db_path: str, every: float) -> None:
    """Keep both up to date."""
    serve_as_owner(db_path, ["query", "signals", "anomalies"])
    from kernelsight.anomalies.live import Live  # noqa: PLC0415 - with it comes numpy
    from kernelsight.signals.live import Keeper  # noqa: PLC0415 - with it comes the query API

    keep_looking([lambda: Keeper(db_path), lambda: Live(db_path)], every, stop_on_signals(), lambda _: None)
