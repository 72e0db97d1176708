"""Signing in, and deciding on what the agent proposes: the only requests that change anything."""

from __future__ import annotations

import asyncio
import hmac
from collections.abc import Callable, Mapping
from functools import partial
from urllib.parse import parse_qs

from starlette.requests import Request
from starlette.responses import PlainTextResponse, RedirectResponse, Response
from starlette.routing import BaseRoute, Route

from kernelsight.errors import KernelSightError
from kernelsight.surfaces.agent import approve_proposal, decline_proposal, undo_action
from kernelsight.surfaces.mcp.answers import Answers
from kernelsight.surfaces.web.peers import user_of
from kernelsight.surfaces.web.sessions import COOKIE, LASTS_S, Sessions

Decide = Callable[[str, str | None, str], None]
_FORM_BYTES = 8_192
_FORM_S = 10.0
"""For all of a form to arrive: connections are few, and one that sends no more would be held for good."""
_WHY = "declined on the web page"
DECISIONS: Mapping[str, Decide] = {
    "approve": approve_proposal,
    "decline": lambda db_path, policy_path, name: decline_proposal(db_path, policy_path, name, _WHY),
    "undo": undo_action,
}
"""What may be decided of an action."""


def routes(db_path: str, policy_path: str | None, sessions: Sessions, answers: Answers) -> list[BaseRoute]:
    """The routes that take a POST."""
    decide = partial(_decide, db_path, policy_path, sessions, answers)
    return [
        Route("/sign-in", partial(_sign_in, sessions), methods=["POST"]),
        Route("/actions/{name}/{decision}", decide, methods=["POST"]),
    ]


async def _form(request: Request) -> Mapping[str, str]:
    """The fields of a form; of one that is too long, or does not arrive in time, none."""
    body = bytearray()
    try:
        async with asyncio.timeout(_FORM_S):
            async for part in request.stream():
                body += part
                if len(body) > _FORM_BYTES:
                    return {}
    except TimeoutError:
        return {}
    return {name: values[-1] for name, values in parse_qs(body.decode("utf-8", "replace")).items()}


def _within(path: str) -> str:
    """A path of these pages; of anything else, the first page."""
    return path if path.startswith("/") and not path.startswith(("//", "/\\")) and path.isprintable() else "/"


def _user(request: Request) -> int | None:
    """Whose browser asks, of the users of this machine."""
    client, server = request.client, request.scope.get("server")
    return None if client is None or not server else user_of((client.host, client.port), (server[0], server[1]))


async def _sign_in(sessions: Sessions, request: Request) -> Response:
    form = await _form(request)
    back = _within(form.get("back", "/"))
    session = sessions.begin(form.get("token", "").strip(), partial(_user, request))
    if session is None:
        return RedirectResponse("/sign-in?wrong=1", 303)
    answer = RedirectResponse(back, 303)
    secure = request.url.scheme == "https"
    answer.set_cookie(COOKIE, session.name, LASTS_S, httponly=True, samesite="strict", secure=secure)
    return answer


async def _decide(
    db_path: str, policy_path: str | None, sessions: Sessions, answers: Answers, request: Request
) -> Response:
    session = sessions.of(request.headers)
    form = await _form(request)
    if session is None or not hmac.compare_digest(form.get("word", "").encode(), session.word.encode()):
        return PlainTextResponse("Sign in with the token first: /sign-in\n", 403)
    if session.user != _user(request):
        return PlainTextResponse("Another user has signed in; sign in with the token first: /sign-in\n", 403)
    decide = DECISIONS.get(request.path_params["decision"])
    if decide is None:
        return PlainTextResponse("An action is approved, declined or undone.\n", 404)
    name = request.path_params["name"]
    try:
        await answers.answer(lambda: decide(db_path, policy_path, name))
    except KernelSightError as error:
        return PlainTextResponse(f"{error}\n", 409)
    return RedirectResponse(_within(form.get("back", "/")), 303)
