"""What stands before the server: hosts, the token, and how much and how long one client may ask (ASGI 3.0)."""

from __future__ import annotations

import hmac
import ipaddress
import math
import time
from collections import OrderedDict
from collections.abc import Awaitable, Callable, Collection, Iterator, MutableMapping
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any
from urllib.parse import urlsplit

import anyio

Scope = MutableMapping[str, Any]
Receive = Callable[[], Awaitable[Scope]]
Send = Callable[[Scope], Awaitable[None]]
App = Callable[[Scope, Receive, Send], Awaitable[None]]

BODY_BYTES = 1 << 20
"""Questions are a few hundred bytes."""
BODY_S = 10.0
"""For all of a body to arrive."""
AT_ONCE = 16
"""Requests of one client at a time; a session has one open for what the server may tell."""
A_SECOND = 20.0
"""Requests of one client, in the long run."""
IN_A_ROW = 60
"""Requests of one client at once after a rest."""
_CLIENTS = 1024
"""Clients that are remembered; the one that asked longest ago is forgotten first."""

_LOCAL = frozenset({"localhost", "127.0.0.1", "::1"})


class Guard:
    """Answers what may not pass; everything else is for the application."""

    def __init__(
        self, app: App, token: str, hosts: Collection[str], clock: Callable[[], float] = time.monotonic
    ) -> None:
        """Guard an application.

        Args:
            app: what is guarded.
            token: which requests must carry (RFC 6750, in the header).
            hosts: by which names it may be called, besides those of this machine and the address that was connected to.
            clock: seconds.
        """
        self._app = app
        self._expected = f"Bearer {token}".encode()
        self._hosts = _LOCAL | {bare_host(host) for host in hosts}
        self._clients = _Clients(clock)

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer one request."""
        if scope["type"] == "lifespan":
            await self._app(scope, receive, send)
            return
        client = (scope.get("client") or ("",))[0]
        with self._clients.request(client) as wait_s:
            if wait_s is not None:
                await _refuse(send, 429, ("retry-after", str(max(1, math.ceil(wait_s)))))
            elif not self._is_for_us(scope):
                await _refuse(send, 421)
            elif not hmac.compare_digest(_header(scope, b"authorization"), self._expected):
                await _refuse(send, 401, ("www-authenticate", "Bearer"))
            else:
                await self._pass_on(scope, receive, send)

    def _is_for_us(self, scope: Scope) -> bool:
        """Whether a request names a host that is ours: a web page can make a browser ask under its own name only.

        The address that was connected to is one: no name in DNS leads to it under which a page could have come.
        """
        server = (scope.get("server") or ("",))[0]
        ours = self._hosts | {bare_host(str(server))}
        origin = _header(scope, b"origin").decode("latin-1")
        if origin and bare_host(place_of(origin)) not in ours:
            return False
        return bare_host(_header(scope, b"host").decode("latin-1")) in ours

    async def _pass_on(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["method"] != "POST":
            await self._app(scope, receive, send)
            return
        body = bytearray()
        with anyio.move_on_after(BODY_S) as waiting:
            more = True
            while more:
                message = await receive()
                if message["type"] != "http.request":
                    return  # it went away
                body += message.get("body", b"")
                more = message.get("more_body", False)
                if len(body) > BODY_BYTES:
                    await _refuse(send, 413, ("connection", "close"))
                    return
        if waiting.cancelled_caught:
            await _refuse(send, 408, ("connection", "close"))
            return
        whole: list[Scope] = [{"type": "http.request", "body": bytes(body), "more_body": False}]

        async def replay() -> Scope:
            return whole.pop() if whole else await receive()

        await self._app(scope, replay, send)


@dataclass(slots=True)
class _Client:
    """How much of its share a client has used."""

    left: float
    """Requests that it may make at once now."""
    at: float
    """When that was so."""
    open: int = 0
    """Requests that are being answered."""


class _Clients:
    """Who asks how much, by address."""

    def __init__(self, clock: Callable[[], float]) -> None:
        self._clock = clock
        self._known: OrderedDict[str, _Client] = OrderedDict()

    @contextmanager
    def request(self, address: str) -> Iterator[float | None]:
        """Count a request while it is answered; gives in how many seconds to ask again where it is one too many."""
        now = self._clock()
        client = self._known.setdefault(address, _Client(IN_A_ROW, now))
        self._known.move_to_end(address)
        client.left = min(IN_A_ROW, client.left + (now - client.at) * A_SECOND)
        client.at = now
        if client.left < 1:
            yield (1 - client.left) / A_SECOND
            return
        client.left -= 1
        if client.open >= AT_ONCE:
            yield 1.0
            return
        client.open += 1
        try:
            yield None
        finally:
            client.open -= 1
            self._forget()

    def _forget(self) -> None:
        while len(self._known) > _CLIENTS:
            oldest = next((name for name, client in self._known.items() if not client.open), None)
            if oldest is None:
                return
            del self._known[oldest]


def place_of(url: str) -> str:
    """The host of a URL, with its port; empty where that cannot be read as one."""
    try:
        return urlsplit(url).netloc
    except ValueError:
        return ""


def bare_host(text: str) -> str:
    """A host without port, brackets and the dot at its end, in lower case; addresses as they are written shortest."""
    text = text.strip().lower()
    if text.startswith("["):
        host = text[1:].partition("]")[0]
    else:
        host = text if text.count(":") > 1 else text.partition(":")[0]
    host = host.removesuffix(".")
    try:
        address = ipaddress.ip_address(host)
    except ValueError:
        return host
    mapped = address.ipv4_mapped if isinstance(address, ipaddress.IPv6Address) else None
    return str(mapped or address)


def _header(scope: Scope, wanted: bytes) -> bytes:
    return next((bytes(value) for name, value in scope.get("headers", ()) if name == wanted), b"")


async def _refuse(send: Send, status: int, *headers: tuple[str, str]) -> None:
    """Answer without a word, so that who may not ask learns nothing."""
    told = [(name.encode(), value.encode()) for name, value in (*headers, ("content-length", "0"))]
    await send({"type": "http.response.start", "status": status, "headers": told})
    await send({"type": "http.response.body", "body": b""})
