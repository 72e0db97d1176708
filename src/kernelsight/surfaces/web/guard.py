"""What stands before the pages: which hosts, which origins, who may ask; and what browsers are told to forbid."""

from __future__ import annotations

from collections.abc import Collection
from urllib.parse import parse_qsl

from starlette.datastructures import Headers, MutableHeaders
from starlette.responses import PlainTextResponse, RedirectResponse
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from kernelsight.surfaces.mcp.guard import bare_host, place_of
from kernelsight.surfaces.web.sessions import Sessions

LOCAL = frozenset({"localhost", "127.0.0.1", "::1"})
HEADERS = {
    "content-security-policy": "default-src 'self'; base-uri 'none'; form-action 'self'; frame-ancestors 'none'; "
    "object-src 'none'",
    "cross-origin-opener-policy": "same-origin",
    "cross-origin-resource-policy": "same-origin",
    "permissions-policy": "camera=(), geolocation=(), microphone=()",
    "referrer-policy": "same-origin",  # with `no-referrer` the forms of these pages would come from nowhere
    "x-content-type-options": "nosniff",
    "x-frame-options": "DENY",
}
_NO_STORE = "no-store"
_ELSEWHERE = frozenset({"cross-site", "same-site"})
"""Where browsers say that a request comes from which another server's page has made."""


class Guard:
    """Lets requests pass that name this server; adds :data:`HEADERS` to every answer."""

    def __init__(self, app: ASGIApp, hosts: Collection[str], sessions: Sessions | None = None) -> None:
        """Guard an application.

        Args:
            app: what is guarded.
            hosts: by which names it may be called, besides those of this machine.
            sessions: who may see anything; None: everybody who can reach it.
        """
        self._app = app
        self._sessions = sessions
        self._hosts = LOCAL | {bare_host(host) for host in hosts}

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer one request."""
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return

        async def send_guarded(message: Message) -> None:
            if message["type"] == "http.response.start":
                headers = MutableHeaders(scope=message)
                headers.update(HEADERS)
                headers.setdefault("cache-control", _NO_STORE)
            await send(message)

        headers = Headers(scope=scope)
        refusal = self._refusal(headers, scope["method"])
        if not refusal and headers.get("sec-fetch-site", "none") in _ELSEWHERE and _asks(headers, scope):
            refusal = "A page of another server asked.\n"
        if refusal:
            await PlainTextResponse(refusal, 421)(scope, receive, send_guarded)
        elif self._sessions is not None and not self._may_see(self._sessions, scope):
            page = scope["path"] == "/"
            answer = RedirectResponse("/sign-in", 303) if page else PlainTextResponse("Sign in first: /sign-in\n", 401)
            await answer(scope, receive, send_guarded)
        else:
            await self._app(scope, receive, send_guarded)

    def _may_see(self, sessions: Sessions, scope: Scope) -> bool:
        """Whether who asks has shown the token, or wants no more than to show it."""
        path = str(scope["path"])
        return path == "/sign-in" or path.startswith("/static/") or sessions.knows(Headers(scope=scope))

    def _refusal(self, headers: Headers, method: str) -> str:
        """Why a request does not pass: a web page elsewhere can make a browser ask, under that page's name only."""
        host = headers.get("host", "")
        if bare_host(host) not in self._hosts or place_of(f"//{host}") != host:
            return "This server is not called like this; `kernelsight serve --allow-host NAME` adds a name.\n"
        origin = headers.get("origin")
        if origin is not None and place_of(origin) != host:
            return "A page of another server asked.\n"
        if method not in {"GET", "HEAD"} and origin is None and headers.get("sec-fetch-site", "none") != "same-origin":
            return "A request that changes something must say which page it comes from (Origin).\n"
        return ""


def _asks(headers: Headers, scope: Scope) -> bool:
    """Whether a request makes the server work: all but a link to a page that answers no question."""
    is_link = headers.get("sec-fetch-mode") == "navigate" and scope["method"] == "GET"
    if not is_link or scope["path"].startswith("/api/"):
        return True
    return any(name == "q" for name, _ in parse_qsl(scope["query_string"].decode("latin-1"), keep_blank_values=True))
