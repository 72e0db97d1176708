"""Let an assistant ask: serve the telemetry over the Model Context Protocol, read-only.

By default the server uses standard input and output, as assistants expect of a server that they start. With --http it
listens at an address and asks for a token. It offers tools, the data dictionary, the records of the agent, and a
prompt for an investigation. Needs the extra `mcp` (`pip install 'kernelsight[mcp]'`).
"""

from __future__ import annotations

import importlib.util
import secrets
from pathlib import Path

import click

from kernelsight.errors import UsageError
from kernelsight.surfaces.cli.command import Command, db_path_option, examples, seconds
from kernelsight.surfaces.tokens import token_given

_TOKEN = "KERNELSIGHT_MCP_TOKEN"  # noqa: S105 - the name of the variable


@click.command(cls=Command, help=__doc__)
@db_path_option
@click.option(
    "--http", "address", metavar="HOST:PORT", help="Serve HTTP at this address, below /mcp; for example 127.0.0.1:8765."
)
@click.option(
    "--token-file",
    type=click.Path(path_type=Path),
    metavar="FILE",
    help=f"Where the token stands, for this user alone; otherwise in {_TOKEN}, or a new one is made and shown.",
)
@click.option(
    "--allow-host",
    "hosts",
    multiple=True,
    metavar="NAME",
    help="Another host name that clients may use over HTTP; may be repeated.",
)
@click.option(
    "--time-limit",
    "limit_s",
    type=float,
    callback=seconds(),
    default=20.0,
    show_default=True,
    metavar="SECONDS",
    help="Time limit of one call. A call that takes longer is ended, and the answer says so.",
)
@examples("kernelsight mcp")
def mcp(*, db_path: str, address: str | None, token_file: Path | None, hosts: tuple[str, ...], limit_s: float) -> None:
    """Serve, until the input ends or Ctrl-C."""
    if importlib.util.find_spec("mcp") is None:
        raise UsageError("the package `mcp` is not installed; `pip install 'kernelsight[mcp]'`")
    from kernelsight.surfaces.mcp.transports import PATH, over_http, over_streams  # noqa: PLC0415 - with it comes mcp

    if address is None:
        over_streams(db_path, limit_s)
        return
    host, port = _place(address)
    given = token_given(token_file, _TOKEN)
    token = given or secrets.token_urlsafe(24)
    click.echo(f"http://{address}{PATH}" + ("" if given else f"  Authorization: Bearer {token}"), err=True)
    over_http(db_path, host, port, token, hosts=hosts, limit_s=limit_s)


def _place(address: str) -> tuple[str, int]:
    host, _, port = address.rpartition(":")
    if not host or not port.isdigit() or not 0 < int(port) < 65536:
        raise UsageError(f"--http {address}: give HOST:PORT, such as 127.0.0.1:8765")
    return host.strip("[]"), int(port)
