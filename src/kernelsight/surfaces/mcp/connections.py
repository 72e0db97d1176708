"""Connections that cost little: the head of a request arrives in time, and one client has only so many."""

from __future__ import annotations

import asyncio
from typing import Any

import h11
from uvicorn.protocols.http.h11_impl import H11Protocol

HEAD_S = 10.0
"""For all of a head to arrive, from the connection or from its first byte on."""
IDLE_S = 5
"""Between two requests of one connection."""
HEAD_BYTES = 16 << 10
CONNECTIONS = 64
"""Of all clients; beyond them requests are answered with 503."""
OF_ONE_CLIENT = 32


class TimedConnection(H11Protocol):
    """HTTP/1.1, as uvicorn speaks it, but that it waits for no head longer than :data:`HEAD_S`."""

    _head_timer: asyncio.TimerHandle | None = None

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override] # as in uvicorn
        """A client has connected."""
        super().connection_made(transport)
        if self.client is not None:
            address = self.client[0]
            of_it = sum(1 for other in self.connections if (getattr(other, "client", None) or ("",))[0] == address)
            if of_it > OF_ONE_CLIENT:
                transport.abort()
                return
        self._time_head()

    def data_received(self, data: bytes) -> None:
        """Some bytes have come."""
        super().data_received(data)
        self._time_head()

    def connection_lost(self, exc: Exception | None) -> None:
        """The connection has ended."""
        self._stop_timer()
        super().connection_lost(exc)

    def _time_head(self) -> None:
        """A head is waited for while the client has sent no whole one; bytes that trickle in do not prolong it."""
        if self.conn.their_state is not h11.IDLE or self.transport.is_closing():
            self._stop_timer()
        elif self._head_timer is None:
            self._head_timer = self.loop.call_later(HEAD_S, self._too_slow)

    def _stop_timer(self) -> None:
        if self._head_timer is not None:
            self._head_timer.cancel()
            self._head_timer = None

    def _too_slow(self) -> None:
        self._head_timer = None
        self.transport.abort()


def settings() -> dict[str, Any]:
    """What uvicorn is told about connections."""
    return {
        "http": TimedConnection,
        "ws": "none",
        "timeout_keep_alive": IDLE_S,
        "h11_max_incomplete_event_size": HEAD_BYTES,
        "limit_concurrency": CONNECTIONS,
        "timeout_graceful_shutdown": IDLE_S,
    }
