"""POST a notice as JSON to a URL."""

from __future__ import annotations

import http.client
import urllib.error
import urllib.parse
import urllib.request
from dataclasses import asdict

import msgspec

from kernelsight.errors import UsageError
from kernelsight.printable import printable
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
            UsageError: it is no such URL, or no header can hold the token.
        """
        if token and not (token.isascii() and token.isprintable()):
            raise UsageError("--webhook-token-file: the token is not one line of ASCII, so that no header can hold it")
        self.name = f"webhook {_host(url)}"
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
        except (OSError, http.client.HTTPException, UnicodeError) as error:  # URLError is an OSError
            raise ChannelError(f"{self.name}: {error}") from error


def _host(url: str) -> str:
    """The host of a URL that can be called as it is written."""
    try:
        parts = urllib.parse.urlsplit(url)
        has_port = parts.port != 0
    except ValueError:
        parts, has_port = urllib.parse.urlsplit(""), False
    plain = url.isascii() and url.isprintable() and " " not in url
    if parts.scheme not in {"http", "https"} or not (parts.hostname and has_port and plain):
        raise UsageError(f"--webhook {printable(url)}: give a URL of ASCII, such as https://example.org/hook")
    if "@" in parts.netloc:
        raise UsageError("--webhook: a URL with a user and a password is not called; give --webhook-token-file")
    return parts.hostname
