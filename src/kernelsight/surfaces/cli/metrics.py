"""Print the newest value of every series in the text format of Prometheus.

The textfile collector of the node exporter takes the output as a file.
"""

from __future__ import annotations

import importlib.util

import click

from kernelsight.errors import UsageError
from kernelsight.query.source import opened
from kernelsight.query.times import parse_time
from kernelsight.surfaces.cli.command import Command, db_path_option, examples
from kernelsight.surfaces.cli.completing import TIME

processes_option = click.option(
    "--processes", is_flag=True, help="Also one series for each process and connection: many, and they live shortly."
)


@click.command(cls=Command, help=__doc__)
@db_path_option
@click.option("--at", type=TIME, default="now", show_default=True, help="The moment.")
@processes_option
@examples("kernelsight metrics", "kernelsight metrics --at 14:05 --processes")
def metrics(*, db_path: str, at: str, processes: bool) -> None:
    """Scrape once."""
    if importlib.util.find_spec("prometheus_client") is None:
        raise UsageError("the package `prometheus-client` is not installed; `pip install 'kernelsight[exports]'`")
    from kernelsight.surfaces.exports.prometheus import exposition  # noqa: PLC0415 - with it comes its library

    with opened(db_path) as reader:
        click.echo(exposition(reader, processes=processes, now_ns=parse_time(at)), nl=False)
