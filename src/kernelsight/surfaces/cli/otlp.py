"""Send metrics and logs to a receiver of OpenTelemetry until Ctrl-C, over OTLP/HTTP.

Metrics have the names of the semantic conventions for systems (`system.cpu.time`) where there is one, and else
`kernelsight.<kind>.<column>`. Logs are the signals, findings and messages of the kernel. Headers, certificates and
attributes of the resource are read from the documented variables OTEL_EXPORTER_OTLP_* and OTEL_RESOURCE_ATTRIBUTES.
"""

from __future__ import annotations

import importlib.util
import time

import click

from kernelsight.errors import KernelSightError, UsageError
from kernelsight.query.source import opened
from kernelsight.surfaces.cli.command import Command, db_path_option, examples, seconds
from kernelsight.surfaces.cli.metrics import processes_option
from kernelsight.surfaces.stopping import stop_on_signals


@click.command(cls=Command, help=__doc__)
@db_path_option
@click.option(
    "--endpoint",
    default="http://localhost:4318",
    show_default=True,
    envvar="OTEL_EXPORTER_OTLP_ENDPOINT",
    show_envvar=True,
    metavar="URL",
    help="Base URL of the receiver.",
)
@click.option(
    "--interval",
    type=float,
    callback=seconds(),
    default=10.0,
    show_default=True,
    metavar="SECONDS",
    help="Between two rounds.",
)
@click.option("--once", is_flag=True, help="Send one round and end; the exit code is 1 where it was not taken.")
@processes_option
@examples("kernelsight otlp", "kernelsight otlp --endpoint https://otel.example.org --interval 30")
def otlp(*, db_path: str, endpoint: str, interval: float, once: bool, processes: bool) -> None:
    """Send rounds."""
    if not endpoint.startswith(("http://", "https://")):
        raise UsageError(f"--endpoint {endpoint}: give a URL, such as http://localhost:4318")
    if importlib.util.find_spec("opentelemetry") is None:
        raise UsageError("OpenTelemetry's exporter is not installed; `pip install 'kernelsight[exports]'`")
    from kernelsight.surfaces.exports.otlp import Sender  # noqa: PLC0415 - with it comes its library

    stop = stop_on_signals()
    began_ns = time.time_ns() - int(interval * 1e9)
    sender = Sender(endpoint)
    refused = False
    try:
        while True:
            with opened(db_path) as reader:
                taken = sender.send_metrics(reader, time.time_ns(), processes=processes)
                taken &= sender.send_logs(reader, began_ns)
            if taken is refused:  # said once, each time it changes
                click.echo(f"{endpoint}: {'takes again' if taken else 'does not take what is sent'}", err=True)
            refused = not taken
            if once or stop.wait(interval):
                break
    finally:
        sender.close()
    if once and refused:
        raise KernelSightError(
            f"{endpoint}: did not take everything; nothing is lost here, and the next round sends it"
        )
