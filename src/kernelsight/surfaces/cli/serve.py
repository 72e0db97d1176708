"""Serve web pages over the telemetry: how the machine is, what happened when, and why.

The pages and their JSON API (/api/openapi.json) only read. The server listens at the loopback address by default.
Needs the extra `web` (`pip install 'kernelsight[web]'`).
"""

from __future__ import annotations

import importlib.util

import click

from kernelsight.errors import UsageError
from kernelsight.surfaces.cli.command import Command, db_path_option, examples, seconds

DEFAULT_PORT = 7710


@click.command(cls=Command, help=__doc__)
@db_path_option
@click.option("--port", type=click.IntRange(1, 65535), default=DEFAULT_PORT, show_default=True, help="Where to listen.")
@click.option(
    "--allow-host",
    "hosts",
    multiple=True,
    metavar="NAME",
    help="Another host name that browsers may use; may be repeated.",
)
@click.option(
    "--time-limit",
    "limit_s",
    type=float,
    callback=seconds(),
    default=20.0,
    show_default=True,
    metavar="SECONDS",
    help="Time limit of one answer. A question that takes longer is ended, and the answer says so.",
)
@examples("kernelsight serve", "kernelsight serve --port 8080 --db-path small.db")
def serve(*, db_path: str, port: int, hosts: tuple[str, ...], limit_s: float) -> None:
    """Serve, until Ctrl-C."""
    if importlib.util.find_spec("starlette") is None or importlib.util.find_spec("uvicorn") is None:
        raise UsageError("the packages of the web pages are not installed; `pip install 'kernelsight[web]'`")
    from kernelsight.surfaces.web.server import serve as serve_pages  # noqa: PLC0415 - with it comes uvicorn

    address = "127.0.0.1"
    serve_pages(
        db_path, address, port, hosts=hosts, limit_s=limit_s, listens=lambda: click.echo(f"http://{address}:{port}/")
    )
