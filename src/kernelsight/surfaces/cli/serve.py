"""Serve web pages over the telemetry: how the machine is, what happened when, and why.

The pages and their JSON API (/api/openapi.json) only read. What approves, declines or undoes an action of the agent
wants the token, which is printed unless it was given. The server listens at the loopback address by default. At another
address (--host) nothing is shown without the token. The token goes over the network as it is: put a proxy with TLS
before it. Needs the extra `web` (`pip install 'kernelsight[web]'`).
"""

from __future__ import annotations

import importlib.util
import secrets
from pathlib import Path

import click

from kernelsight.errors import UsageError
from kernelsight.surfaces.cli.command import Command, db_path_option, examples, policy_option, seconds
from kernelsight.surfaces.tokens import token_given

DEFAULT_PORT = 7710
_LOOPBACK = "127.0.0.1"
_TOKEN = "KERNELSIGHT_WEB_TOKEN"  # noqa: S105 - the name of the variable


@click.command(cls=Command, help=__doc__)
@db_path_option
@click.option("--port", type=click.IntRange(1, 65535), default=DEFAULT_PORT, show_default=True, help="Its port.")
@click.option("--host", "address", default=_LOOPBACK, show_default=True, metavar="ADDRESS", help="Where to listen.")
@click.option(
    "--token-file",
    type=click.Path(path_type=Path),
    metavar="FILE",
    help=f"Where the token stands, for this user alone; otherwise in {_TOKEN}, or a new one is made and shown.",
)
@policy_option
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
def serve(  # noqa: PLR0913 - one argument an option
    *,
    db_path: str,
    port: int,
    address: str,
    token_file: Path | None,
    policy_path: str | None,
    hosts: tuple[str, ...],
    limit_s: float,
) -> None:
    """Serve, until Ctrl-C."""
    if importlib.util.find_spec("starlette") is None or importlib.util.find_spec("uvicorn") is None:
        raise UsageError("the packages of the web pages are not installed; `pip install 'kernelsight[web]'`")
    from kernelsight.surfaces.web.server import serve as serve_pages  # noqa: PLC0415 - with it comes uvicorn

    given = token_given(token_file, _TOKEN)
    if address != _LOOPBACK and not given:
        raise UsageError(f"--host {address}: others could read everything; give a token by --token-file or {_TOKEN}")
    token = given or secrets.token_urlsafe(24)

    def listens() -> None:
        click.echo(f"http://{address}:{port}/" + ("" if given else f"  token to decide on actions: {token}"), err=True)

    serve_pages(db_path, address, port, token, hosts=hosts, limit_s=limit_s, policy_path=policy_path, listens=listens)
