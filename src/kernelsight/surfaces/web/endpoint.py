"""What an endpoint of the JSON API is: a function with typed arguments, declared once.

One module a subject in :mod:`kernelsight.surfaces.web.endpoints`::

    class Asked(msgspec.Struct, kw_only=True):
        name: Annotated[str, msgspec.Meta(description="Name of the chart.")]

    @endpoint("/api/charts/{name}")
    def chart(desk: Desk, asked: Asked) -> Answer:
        '''One chart.'''

From it come the route, the checks of what is asked, and the description for programs (OpenAPI 3.1). All are read-only.
"""

from __future__ import annotations

import inspect
import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any, TypeVar, get_type_hints

import msgspec

import kernelsight
from kernelsight.errors import UsageError
from kernelsight.registry import Registry
from kernelsight.surfaces.web.desk import Desk

F = TypeVar("F", bound=Callable[..., Any])
_PLACE = re.compile(r"\{(\w+)\}")


class NotFoundError(UsageError):
    """There is nothing of that name."""


class Problem(msgspec.Struct, kw_only=True):
    """Why there is no answer."""

    error: str
    """What is wrong, and what can be asked instead."""


@dataclass(frozen=True, slots=True)
class Endpoint:
    """A question that programs may ask."""

    path: str
    summary: str
    asked: type[msgspec.Struct]
    answer: Any
    run: Callable[[Desk, Any], Any]

    def question(self, given: Mapping[str, str]) -> msgspec.Struct:
        """The arguments, checked.

        Raises:
            UsageError: one is missing, unknown, or of another type.
        """
        try:
            return msgspec.convert(dict(given), self.asked, strict=False)
        except msgspec.ValidationError as error:
            raise UsageError(f"{self.path}: {error}") from error


_ENDPOINTS: Registry[str, Endpoint] = Registry("endpoint", "kernelsight.surfaces.web.endpoints")


def endpoint(path: str) -> Callable[[F], F]:
    """Register a function as what answers GET at a path."""

    def register(function: F) -> F:
        hints = get_type_hints(function)
        summary = (inspect.getdoc(function) or "").partition("\n\n")[0]
        _ENDPOINTS.add(path, Endpoint(path, " ".join(summary.split()), hints["asked"], hints["return"], function))
        return function

    return register


def endpoints() -> Mapping[str, Endpoint]:
    """All endpoints by path."""
    return _ENDPOINTS.all()


def described() -> dict[str, Any]:
    """The description of the API (OpenAPI 3.1)."""
    declared = endpoints().values()
    answers = [*(one.answer for one in declared), Problem]
    schemas, components = msgspec.json.schema_components(answers, ref_template="#/components/schemas/{name}")
    problem = {"application/json": {"schema": schemas[-1]}}
    return {
        "openapi": "3.1.0",
        "info": {
            "title": "KernelSight",
            "version": kernelsight.__version__,
            "description": "What is stored of one machine. Read-only. Times are ns since the epoch, or text such as "
            "15m (ago), now, or 2026-11-23T14:00:05Z.",
        },
        "paths": {
            one.path: {"get": _operation(one, schema, problem)} for one, schema in zip(declared, schemas, strict=False)
        },
        "components": {"schemas": components},
    }


def _operation(declared: Endpoint, schema: dict[str, Any], problem: dict[str, Any]) -> dict[str, Any]:
    [_], components = msgspec.json.schema_components([declared.asked], ref_template="{name}")
    fields = components[declared.asked.__name__]
    in_path = set(_PLACE.findall(declared.path))
    return {
        "summary": declared.summary,
        "operationId": declared.run.__name__,
        "parameters": [
            {
                "name": name,
                "in": "path" if name in in_path else "query",
                "required": name in in_path or name in fields.get("required", ()),
                "description": properties.pop("description", ""),
                "schema": properties,
            }
            for name, properties in fields["properties"].items()
        ],
        "responses": {
            "200": {"description": "The answer.", "content": {"application/json": {"schema": schema}}},
            "400": {"description": "It cannot be asked like this.", "content": problem},
            "404": {"description": "There is nothing of that name.", "content": problem},
            "421": {
                "description": "The request does not name this server, or a page of another server has made it.",
                "content": {"text/plain": {"schema": {"type": "string"}}},
            },
            "503": {"description": "The store cannot be read now, or the time is over.", "content": problem},
        },
    }
