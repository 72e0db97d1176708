"""The server of the web pages."""

from __future__ import annotations

from collections.abc import Callable, Collection
from types import FrameType

import uvicorn

from kernelsight.surfaces.mcp.connections import settings
from kernelsight.surfaces.web.application import Application
from kernelsight.surfaces.web.guard import LOCAL, Guard
from kernelsight.surfaces.web.sessions import Sessions


class _Server(uvicorn.Server):
    """A server that says when it listens, and ends streams when it is told to stop."""

    def __init__(self, config: uvicorn.Config, listens: Callable[[], None], ends: Callable[[], None]) -> None:
        super().__init__(config)
        self._listens = listens
        self._ends = ends

    def handle_exit(self, sig: int, frame: FrameType | None) -> None:
        self._ends()
        super().handle_exit(sig, frame)

    async def startup(self, sockets: list[object] | None = None) -> None:  # type: ignore[override] # as in uvicorn
        await super().startup(sockets)  # type: ignore[arg-type]
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
    config = uvicorn.Config(guarded, host=host, port=port, log_level="warning", access_log=False, **settings())
    _Server(config, listens, application.end).run()
