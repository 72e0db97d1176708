"""Who has shown the token: sessions in memory, each known by a cookie, and a word that forms must carry.

The token is never in an address. A cookie that only this site sends (SameSite=Strict) and that no script can read
stands for it; a form carries a word besides that only its page knows, so that no other page can send it. Browsers send
cookies to all ports of a host, and with them to servers of other users of this machine: who decides must be the user
that has signed in.
"""

from __future__ import annotations

import hmac
import secrets
import time
from collections import OrderedDict
from collections.abc import Callable
from typing import NamedTuple

from starlette.datastructures import Headers
from starlette.requests import cookie_parser

COOKIE = "kernelsight_session"
LASTS_S = 12 * 3_600
_MOST = 64
_TRIES, _AGAIN_S = 10, 60.0
"""So many tokens may be tried, from wherever, within this time."""


class Session(NamedTuple):
    """Somebody who has shown the token."""

    name: str
    word: str
    """What their forms carry."""
    ends_at: float
    user: int | None
    """The user id of their browser; None: it runs on another machine."""


class Sessions:
    """The sessions of one server."""

    def __init__(self, token: str) -> None:
        self._token = token.encode()
        self._known: OrderedDict[str, Session] = OrderedDict()
        self._tries: list[float] = []

    def begin(self, token: str, user: Callable[[], int | None]) -> Session | None:
        """Begin one, of a user; None where the token is wrong, or too many were tried of late."""
        now = time.monotonic()
        self._tries = [at for at in self._tries if at > now - _AGAIN_S]
        if len(self._tries) >= _TRIES:
            return None
        if not hmac.compare_digest(token.encode(), self._token):
            self._tries.append(now)
            return None
        session = Session(secrets.token_urlsafe(32), secrets.token_urlsafe(32), now + LASTS_S, user())
        self._known[session.name] = session
        while len(self._known) > _MOST:
            self._known.popitem(last=False)
        return session

    def of(self, headers: Headers) -> Session | None:
        """The session that a request is of."""
        name = cookie_parser(headers.get("cookie", "")).get(COOKIE, "")
        session = self._known.get(name)
        if session is not None and session.ends_at < time.monotonic():
            del self._known[name]
            return None
        return session

    def knows(self, headers: Headers) -> bool:
        """Whether a request is of a session, or carries the token itself (RFC 6750)."""
        given = headers.get("authorization", "").encode()
        return self.of(headers) is not None or hmac.compare_digest(given, b"Bearer " + self._token)
