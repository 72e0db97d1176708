"""The application: routes of pages, of the API and of static files (Starlette, ASGI 3.0)."""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable, Mapping
from contextlib import asynccontextmanager
from functools import partial
from typing import Any

import msgspec
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import JSONResponse, Response, StreamingResponse
from starlette.routing import BaseRoute, Route

from kernelsight.errors import KernelSightError, UsageError
from kernelsight.events.wire import tables
from kernelsight.surfaces.mcp.answers import Answers
from kernelsight.surfaces.web import deciding
from kernelsight.surfaces.web.assets import asset, assets
from kernelsight.surfaces.web.chart import charts
from kernelsight.surfaces.web.desk import Desk
from kernelsight.surfaces.web.endpoint import Endpoint, NotFoundError, Problem, described, endpoints
from kernelsight.surfaces.web.live import Live
from kernelsight.surfaces.web.page import Page, Visit, pages
from kernelsight.surfaces.web.rendering import Shown, environment, rendered
from kernelsight.surfaces.web.sessions import Sessions
from kernelsight.surfaces.web.span import span

PAGE_SPAN = "15m"
"""What a page shows where its address names no time."""


class Application(Starlette):
    """The pages and the API over a store."""

    def __init__(self, db_path: str, limit_s: float, sessions: Sessions, policy_path: str | None) -> None:
        """Make it.

        Args:
            db_path: the store, which may not exist yet.
            limit_s: how long an answer may take.
            sessions: who has shown the token.
            policy_path: what the agent may do.
        """
        desk, answers = Desk(db_path), Answers(limit_s)
        self._live = Live(desk, Answers(limit_s))

        @asynccontextmanager
        async def lifespan(_: Starlette) -> AsyncIterator[None]:
            yield
            desk.close()

        live = Route("/api/live", partial(_watched, self._live))
        super().__init__(
            routes=[live, *deciding.routes(db_path, policy_path, sessions, answers), *_routes(desk, answers, sessions)],
            lifespan=lifespan,
        )

    def end(self) -> None:
        """End what has no end of its own; from a signal's handler, too."""
        self._live.ends = True


def load() -> None:
    """Find what modules declare, before several threads ask for it at once; read files that others may not read."""
    charts()
    tables()
    endpoints()
    pages()
    assets()
    for name in environment().list_templates(["html"]):
        environment().get_template(name)


def _routes(desk: Desk, answers: Answers, sessions: Sessions) -> list[BaseRoute]:
    routes: list[BaseRoute] = [Route("/static/{name}", asset), Route("/api/openapi.json", _description)]
    routes += [Route(one.path, partial(_answered, desk, answers, one)) for one in endpoints().values()]
    routes.append(Route("/api/{path:path}", _unknown))
    routes += [Route(one.path, partial(_shown, desk, answers, sessions, one)) for one in pages().values()]
    return routes


async def _description(_: Request) -> Response:
    return JSONResponse(described())


async def _unknown(request: Request) -> Response:
    problem = Problem(error=f"there is no {request.url.path}; /api/openapi.json says what there is")
    return Response(msgspec.json.encode(problem), 404, media_type="application/json")


def _given(request: Request) -> Mapping[str, str]:
    return {**request.query_params, **request.path_params}


async def _watched(live: Live, request: Request) -> Response:
    """Tell what is new in some charts."""
    names = request.query_params.get("charts", "").split(",")
    try:
        told = await live.stream(filter(None, names))
    except UsageError as error:
        return Response(msgspec.json.encode(Problem(error=str(error))), 400, media_type="application/json")
    return StreamingResponse(told, media_type="text/event-stream")


async def _answered(desk: Desk, answers: Answers, declared: Endpoint, request: Request) -> Response:
    """Answer a program."""

    def work() -> bytes:
        return msgspec.json.encode(declared.run(desk, declared.question(_given(request))))

    status, body = await _worked(answers, work)
    return Response(body, status, media_type="application/json")


async def _worked(answers: Answers, work: Callable[[], bytes]) -> tuple[int, bytes]:
    try:
        return 200, await answers.answer(work)
    except NotFoundError as error:
        return 404, msgspec.json.encode(Problem(error=str(error)))
    except UsageError as error:
        return 400, msgspec.json.encode(Problem(error=str(error)))
    except KernelSightError as error:
        return 503, msgspec.json.encode(Problem(error=str(error)))


async def _shown(desk: Desk, answers: Answers, sessions: Sessions, declared: Page, request: Request) -> Response:
    """Show a page to a person; what goes wrong stands on it."""
    given = _given(request)
    session = sessions.of(request.headers)
    here = request.url.path + (f"?{request.url.query}" if request.url.query else "")

    def work() -> tuple[int, str]:
        context: dict[str, Any] = {}
        status = 200
        try:
            when = span(given.get("since", PAGE_SPAN), given.get("until", "now"))
        except UsageError as error:
            when, status, context["problem"] = span(PAGE_SPAN, "now"), 400, str(error)
        try:
            context |= declared.context(Visit(desk, when, given))
        except NotFoundError as error:
            status, context["problem"] = 404, str(error)
        except UsageError as error:
            status, context["problem"] = 400, str(error)
        except KernelSightError as error:
            status, context["problem"] = 503, str(error)
        return status, rendered(
            declared, Shown(when, "until" not in given, here, session.word if session else ""), context
        )

    try:
        status, text = await answers.answer(work)
    except KernelSightError as error:
        return Response(str(error), 503, media_type="text/plain")
    return Response(text, status, media_type="text/html")
