"""Compute signals and coincidences again from the events, and replace the stored ones.

Use it after a rule has changed, or after rows were written or deleted long after their time. The result is the same as
that of `kernelsight signals watch`, which may run meanwhile. An episode that began more than an hour before the range
and reaches into it keeps its beginning and its row.
"""

from __future__ import annotations

import click

from kernelsight.surfaces.cli.command import Command, db_path_option, examples, since_option


@click.command(cls=Command, help=__doc__)
@db_path_option
@since_option("1h", "Start of the range; the range ends now.")
@examples("kernelsight reclassify --since 1d")
def reclassify(*, db_path: str, since: str) -> None:
    """Find signals again."""
    from kernelsight.query.times import parse_time  # noqa: PLC0415 - with it comes the query API
    from kernelsight.signals.live import Keeper  # noqa: PLC0415
    from kernelsight.surfaces.unprivileged import serve_as_owner  # noqa: PLC0415

    serve_as_owner(db_path, ["query", "signals"])
    with Keeper(db_path, make=True) as keeper:
        signals = keeper.again(parse_time(since))
    click.echo(f"{len(signals)} signals since {since}")
