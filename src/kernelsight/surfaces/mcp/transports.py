"""How assistants reach the server: over standard streams, or over HTTP with a token."""

from __future__ import annotations

from collections.abc import Collection

import anyio
import uvicorn
from mcp.server.stdio import stdio_server
from mcp.server.transport_security import TransportSecuritySettings

from kernelsight.surfaces.mcp.answers import TIME_LIMIT_S
from kernelsight.surfaces.mcp.connections import settings
from kernelsight.surfaces.mcp.guard import BODY_BYTES, Guard
from kernelsight.surfaces.mcp.server import server

PATH = "/mcp"
_SESSIONS = 256
_SESSION_IDLE_S = 600.0


def over_streams(db_path: str, limit_s: float = TIME_LIMIT_S) -> None:
    """Answer on standard output what is asked on standard input, until that ends."""

    async def run() -> None:
        answering = server(db_path, limit_s)
        async with stdio_server() as (reading, writing):
            await answering.run(reading, writing, answering.create_initialization_options())

    anyio.run(run)


def over_http(  # noqa: PLR0913 - what the command was given
    db_path: str, host: str, port: int, token: str, *, hosts: Collection[str] = (), limit_s: float = TIME_LIMIT_S
) -> None:
    """Answer at http://HOST:PORT/mcp who has the token (streamable HTTP), until told to stop.

    Args:
        db_path: the store.
        host: the address to listen at.
        port: and its port.
        token: which every request must carry.
        hosts: other names by which it may be called.
        limit_s: how long a call may take.
    """
    app = server(db_path, limit_s).streamable_http_app(
        streamable_http_path=PATH,
        host=host,
        max_request_body_size=BODY_BYTES,
        max_sessions=_SESSIONS,
        session_idle_timeout=_SESSION_IDLE_S,
        # The guard has checked the host, whatever the address is.
        transport_security=TransportSecuritySettings(enable_dns_rebinding_protection=False),
    )
    guarded = Guard(app, token, hosts)
    config = uvicorn.Config(guarded, host=host, port=port, log_level="warning", lifespan="on", **settings())
    uvicorn.Server(config).run()
