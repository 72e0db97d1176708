"""The server of the web pages."""

from __future__ import annotations

from collections.abc import Callable, Collection

import uvicorn

from kernelsight.surfaces.mcp.connections import settings
from kernelsight.surfaces.web.application import application
from kernelsight.surfaces.web.guard import Guard


class _Server(uvicorn.Server):
    """A server that says when it listens."""

    def __init__(self, config: uvicorn.Config, listens: Callable[[], None]) -> None:
        super().__init__(config)
        self._listens = listens

    async def startup(self, sockets: list[object] | None = None) -> None:  # type: ignore[override] # as in uvicorn
        await super().startup(sockets)  # type: ignore[arg-type]
        if self.started:
            self._listens()


def serve(  # noqa: PLR0913 - what the command was given
    db_path: str, host: str, port: int, *, hosts: Collection[str], limit_s: float, listens: Callable[[], None]
) -> None:
    """Serve the pages until told to stop.

    Args:
        db_path: the store.
        host: the address to listen at.
        port: and its port.
        hosts: other names by which browsers may call it.
        limit_s: how long an answer may take.
        listens: called when it listens.
    """
    guarded = Guard(application(db_path, limit_s), {host, *hosts})
    config = uvicorn.Config(guarded, host=host, port=port, log_level="warning", access_log=False, **settings())
    _Server(config, listens).run()
