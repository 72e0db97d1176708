"""What a tool is: a typed function whose name, docstring and signature are its description to a model.

One module each in :mod:`kernelsight.agent.tools`::

    @tool
    def tables(desk: Desk) -> Data:
        '''What is recorded.'''

Arguments are checked against the signature. What a caller can mend is a :class:`~kernelsight.errors.UsageError`;
results are bounded, and text in them escaped, by :func:`call`, whatever the tool does.
"""

from __future__ import annotations

import inspect
import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Annotated, Any, get_type_hints

import msgspec

from kernelsight.agent.evidence import Citations
from kernelsight.agent.sanitising import Data, bounded
from kernelsight.agent.schema import Schema, schema_of
from kernelsight.errors import UsageError
from kernelsight.query.presence import why_no_rows
from kernelsight.query.source import Source
from kernelsight.query.times import TimeRange, time_range
from kernelsight.registry import Registry

_ARGUMENT = re.compile(r"^    (\w+): (.*(?:\n {8}.*)*)", re.MULTILINE)
_NAIVE = re.compile(r"\d{4}-\d\d-\d\d([T ]\d\d:\d\d(:\d\d(\.\d+)?)?)?|\d{1,2}:\d\d(:\d\d)?")


@dataclass(slots=True)
class Desk:
    """Where a reasoner works: the store, the time in question, and the evidence handed out so far."""

    source: Source
    when: TimeRange
    ledger: Citations = field(default_factory=Citations)

    def range(self, since: str | None, until: str | None) -> TimeRange:
        """The time that a tool is asked about; where nothing is said, the one in question.

        Raises:
            UsageError: it is not a time, or has no zone: whose clock a model has in mind cannot be guessed.
        """
        for text in (since, until):
            if text is not None and _NAIVE.fullmatch(text.strip()):
                raise UsageError(f"{text!r} has no time zone; write it in UTC, such as 2026-11-23 14:00:05Z")
        start = self.when.start_ns if since is None else since
        end = self.when.end_ns if until is None else until
        return time_range(start, end)


@dataclass(frozen=True, slots=True)
class Tool:
    """A function for a reasoner."""

    name: str
    description: str
    arguments: type[msgspec.Struct]
    run: Callable[..., Data]

    @property
    def schema(self) -> Schema:
        """What its arguments are."""
        return schema_of(self.arguments)


def with_reason(told: Data, desk: Desk, table: str, when: TimeRange) -> Data:
    """A result without rows, and why there are none: that nobody recorded them is no proof that nothing happened."""
    return {**told, "no_rows_because": why_no_rows(desk.source, table, when)}


_TOOLS: Registry[str, Tool] = Registry("tool", "kernelsight.agent.tools")


def tool(function: Callable[..., Data]) -> Callable[..., Data]:
    """Register a function as a tool."""
    text = inspect.getdoc(function) or ""
    described = {name: " ".join(said.split()) for name, said in _ARGUMENT.findall(text)}
    hints = get_type_hints(function, include_extras=True)
    annotated: Any = Annotated
    fields: list[tuple[str, Any] | tuple[str, Any, Any]] = []
    for argument, parameter in list(inspect.signature(function).parameters.items())[1:]:
        hint = annotated[hints[argument], msgspec.Meta(description=described[argument])]
        fields.append((argument, hint) if parameter.default is parameter.empty else (argument, hint, parameter.default))
    name = function.__name__.removesuffix("_")
    arguments = msgspec.defstruct(f"{name}_arguments", fields, kw_only=True, forbid_unknown_fields=True)
    _TOOLS.add(name, Tool(name, text.partition("\nArgs:")[0].strip(), arguments, function))
    return function


def tools() -> Mapping[str, Tool]:
    """All tools by name. A new module is found by itself."""
    return _TOOLS.all()


def call(desk: Desk, name: str, arguments: Mapping[str, Any]) -> Data:
    """Use a tool: what it found, bounded.

    Raises:
        UsageError: there is no such tool, or it cannot be asked like this.
        StoreError: the store cannot be read.
    """
    wanted = tools().get(name)
    if wanted is None:
        raise UsageError(f"there is no tool {name!r}; there are {', '.join(tools())}")
    try:
        # Not strict, because numbers may have come as doubles.
        given = msgspec.convert(arguments, wanted.arguments, strict=False)
    except msgspec.ValidationError as error:
        raise UsageError(f"{name}: {error}") from error
    return bounded(wanted.run(desk, **msgspec.structs.asdict(given)))
