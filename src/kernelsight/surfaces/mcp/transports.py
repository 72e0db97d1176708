"""How assistants reach the server: over standard streams, or over HTTP with a token."""

from __future__ import annotations

import hmac
from collections.abc import Awaitable, Callable, MutableMapping
from typing import Any

import anyio
import uvicorn
from mcp.server.stdio import stdio_server

from kernelsight.surfaces.mcp.server import server

PATH = "/mcp"

_Scope = MutableMapping[str, Any]
_Receive = Callable[[], Awaitable[_Scope]]
_Send = Callable[[_Scope], Awaitable[None]]
_App = Callable[[_Scope, _Receive, _Send], Awaitable[None]]


def over_streams(db_path: str) -> None:
    """Answer on standard output what is asked on standard input, until that ends."""

    async def run() -> None:
        one = server(db_path)
        async with stdio_server() as (reading, writing):
            await one.run(reading, writing, one.create_initialization_options())

    anyio.run(run)


def over_http(db_path: str, host: str, port: int, token: str) -> None:
    """Answer at http://HOST:PORT/mcp who has the token (streamable HTTP), until told to stop."""
    app = server(db_path).streamable_http_app(streamable_http_path=PATH, host=host)
    config = uvicorn.Config(guarded(app, token), host=host, port=port, log_level="warning", lifespan="on")
    uvicorn.Server(config).run()


def guarded(app: _App, token: str) -> _App:
    """An application that answers only requests with the token (RFC 6750, in the header); others learn nothing."""
    expected = f"Bearer {token}".encode()

    async def answer(scope: _Scope, receive: _Receive, send: _Send) -> None:
        if scope["type"] == "lifespan" or hmac.compare_digest(_authorization(scope), expected):
            await app(scope, receive, send)
            return
        headers = [(b"www-authenticate", b"Bearer"), (b"content-length", b"0")]
        await send({"type": "http.response.start", "status": 401, "headers": headers})
        await send({"type": "http.response.body", "body": b""})

    return answer


def _authorization(scope: _Scope) -> bytes:
    return next((bytes(value) for name, value in scope.get("headers", ()) if name == b"authorization"), b"")
