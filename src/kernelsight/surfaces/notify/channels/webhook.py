"""POST a notice as JSON to a URL."""

from __future__ import annotations

import http.client
import urllib.error
import urllib.parse
import urllib.request
from dataclasses import asdict

import msgspec

from kernelsight.errors import UsageError
from kernelsight.surfaces.notify.channel import ChannelError
from kernelsight.surfaces.notify.notice import Notice

_TIMEOUT_S = 10.0


class _NoRedirects(urllib.request.HTTPRedirectHandler):
    """A redirect would take the notice, and the token, to a place that nobody named."""

    def redirect_request(self, *_: object) -> None:
        """Refuse."""


class Webhook:
    """A URL that takes JSON: all fields of :class:`Notice`, with `sentence` and `text` for receivers that show one."""

    def __init__(self, url: str, token: str | None = None) -> None:
        """Name it.

        Args:
            url: of scheme `http` or `https`.
            token: sent as `Authorization: Bearer`.

        Raises:
            UsageError: it is no such URL.
        """
        parts = urllib.parse.urlsplit(url)
        if parts.scheme not in {"http", "https"} or not parts.hostname:
            raise UsageError(f"--webhook {url}: give a URL, such as https://example.org/hook")
        self.name = f"webhook {parts.hostname}"
        self._url = url
        self._headers = {"Content-Type": "application/json", "User-Agent": "kernelsight"}
        if token:
            self._headers["Authorization"] = f"Bearer {token}"
        self._opener = urllib.request.build_opener(_NoRedirects)

    def send(self, notice: Notice) -> None:
        """POST it."""
        body = msgspec.json.encode({**asdict(notice), "sentence": notice.sentence, "text": notice.text})
        request = urllib.request.Request(self._url, body, self._headers, method="POST")  # noqa: S310 - http(s) alone
        try:
            with self._opener.open(request, timeout=_TIMEOUT_S):
                pass
        except urllib.error.HTTPError as error:
            error.close()  # it holds the connection
            raise ChannelError(f"{self.name}: answered {error.code}") from error
        except (OSError, http.client.HTTPException) as error:  # URLError is an OSError
            raise ChannelError(f"{self.name}: {error}") from error
