"""Scripts, styles and pictures of the pages: read once, before the server gives up what it may read them by."""

from __future__ import annotations

import hashlib
from functools import cache
from importlib.resources import files
from typing import NamedTuple

from starlette.requests import Request
from starlette.responses import PlainTextResponse, Response

_TYPES = {".js": "text/javascript", ".css": "text/css", ".svg": "image/svg+xml"}


class Asset(NamedTuple):
    """A file for browsers."""

    body: bytes
    media_type: str
    tag: str
    """Tells whether it has changed (RFC 9110, ETag)."""


@cache
def assets() -> dict[str, Asset]:
    """All of them, by name."""
    found = {}
    for file in files("kernelsight.surfaces.web").joinpath("static").iterdir():
        media_type = _TYPES.get(f".{file.name.rpartition('.')[2]}")
        if media_type is not None:
            body = file.read_bytes()
            found[file.name] = Asset(body, media_type, f'"{hashlib.sha256(body).hexdigest()[:32]}"')
    return found


async def asset(request: Request) -> Response:
    """Answer a browser that asks for one; one that has it already is told so."""
    wanted = assets().get(request.path_params["name"])
    if wanted is None:
        return PlainTextResponse("There is no such file.\n", 404)
    headers = {"etag": wanted.tag, "cache-control": "no-cache"}
    if request.headers.get("if-none-match") == wanted.tag:
        return Response(status_code=304, headers=headers)
    return Response(wanted.body, media_type=wanted.media_type, headers=headers)
