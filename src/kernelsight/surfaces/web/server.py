"""The server of the web pages."""

from __future__ import annotations

import socket
from collections.abc import Callable, Collection
from types import FrameType

import uvicorn

from kernelsight.errors import UsageError
from kernelsight.surfaces.mcp.connections import settings
from kernelsight.surfaces.unprivileged import serve_as_owner
from kernelsight.surfaces.web.application import Application, load
from kernelsight.surfaces.web.guard import LOCAL, Guard
from kernelsight.surfaces.web.sessions import Sessions

_ROOMS = ("query", "signals", "anomalies", "diagnosis", "agent", "surfaces.web")
_WAITING = 128
"""Connections that may wait to be accepted."""


class _Server(uvicorn.Server):
    """A server that says when it listens, and ends streams when it is told to stop."""

    def __init__(self, config: uvicorn.Config, listens: Callable[[], None], ends: Callable[[], None]) -> None:
        super().__init__(config)
        self._listens = listens
        self._ends = ends

    def handle_exit(self, sig: int, frame: FrameType | None) -> None:
        self._ends()
        super().handle_exit(sig, frame)

    async def startup(self, sockets: list[socket.socket] | None = None) -> None:
        await super().startup(sockets)
        if self.started:
            self._listens()


def serve(  # noqa: PLR0913 - what the command was given
    db_path: str,
    host: str,
    port: int,
    token: str,
    *,
    hosts: Collection[str],
    limit_s: float,
    policy_path: str | None,
    listens: Callable[[], None],
) -> None:
    """Serve the pages until told to stop.

    Args:
        db_path: the store.
        host: the address to listen at.
        port: and its port.
        token: what must be shown to decide on actions, and to see anything from another machine.
        hosts: other names by which browsers may call it.
        limit_s: how long an answer may take.
        policy_path: what the agent may do.
        listens: called when it listens.
    """
    sessions = Sessions(token)
    application = Application(db_path, limit_s, sessions, policy_path)
    guarded = Guard(application, {host, *hosts}, None if host in LOCAL else sessions)
    load()
    try:
        listening = socket.create_server(
            (host, port), family=socket.AF_INET6 if ":" in host else socket.AF_INET, backlog=_WAITING
        )
    except OSError as error:
        raise UsageError(f"--port {port}: {error.strerror or error}; give another one") from error
    if policy_path is None:
        serve_as_owner(db_path, _ROOMS, fenced=False)
    config = uvicorn.Config(guarded, host=host, port=port, log_level="warning", access_log=False, **settings())
    _Server(config, listens, application.end).run([listening])
