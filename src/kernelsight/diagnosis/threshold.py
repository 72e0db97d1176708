"""A threshold: a number with its unit, and the reason why it is this one."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, fields, is_dataclass
from types import CodeType, FunctionType
from typing import Any, Self


class Threshold(float):
    """A number from which on something counts. It compares and calculates as the number that it is.

    Its name says the unit, too (``LEAST_PACKETS_PER_S``, ``HIT_SHARE``).
    """

    __slots__ = ("because", "unit")

    unit: str
    """What it is a number of: "packets/s", "share of a CPU's time"."""
    because: str
    """Why this number, and the source: a document of the kernel, a paper, "measured: ..." or "judged: ..."."""

    def __new__(cls, value: float, unit: str, *, because: str) -> Self:
        """A number with its unit and its reason.

        Raises:
            TypeError: it has no unit or no reason.
        """
        if not unit.strip() or not because.strip():
            raise TypeError(f"the threshold {value:g} needs a unit and a reason")
        made = super().__new__(cls, value)
        made.unit = unit
        made.because = because
        return made


@dataclass(frozen=True, slots=True)
class Used:
    """What a function, and everything that it uses within given modules, compares and calculates with."""

    thresholds: Sequence[tuple[str, Threshold]]
    """By the names under which they are used."""
    numbers: frozenset[float]
    """Numbers that have no name."""


def used_by(function: Callable[..., Any], within: str) -> Used:
    """The thresholds and numbers that a function uses, also through the functions, classes and records that it names.

    Args:
        function: where to begin.
        within: what is used is followed into modules whose names begin so.
    """
    waiting: list[Callable[..., Any]] = [function]
    members: dict[FunctionType, str] = {}
    seen, names = set[CodeType](), set[str]()
    thresholds: dict[int, tuple[str, Threshold]] = {}
    numbers: set[float] = set()
    while waiting:
        using = waiting.pop()
        for code in _with_nested(using.__code__):
            if code in seen:
                continue
            seen.add(code)
            names.update(code.co_names)
            numbers.update(value for value in code.co_consts if isinstance(value, int | float))
            for name in code.co_names:
                value = using.__globals__.get(name)
                thresholds |= {id(held): (its, held) for its, held in _thresholds(name, value)}
                if not getattr(value, "__module__", "").startswith(within):
                    continue
                if isinstance(value, FunctionType):
                    waiting.append(value)
                elif isinstance(value, type) or is_dataclass(value):
                    members |= _methods(value if isinstance(value, type) else type(value))
        if not waiting:
            waiting = [method for method, name in members.items() if name in names or name.startswith("__")]
            members = {method: name for method, name in members.items() if method not in waiting}
    return Used(sorted(thresholds.values()), frozenset(numbers))


def _with_nested(code: CodeType) -> Iterator[CodeType]:
    yield code
    for constant in code.co_consts:
        if isinstance(constant, CodeType):
            yield from _with_nested(constant)


def _thresholds(name: str, value: object) -> Iterator[tuple[str, Threshold]]:
    """A threshold, or those of a record, with their names."""
    if isinstance(value, Threshold):
        yield name, value
    elif is_dataclass(value) and not isinstance(value, type):
        held = ((field.name, getattr(value, field.name)) for field in fields(value))
        yield from ((f"{name}.{its}", of) for its, of in held if isinstance(of, Threshold))


def _methods(cls: type) -> dict[FunctionType, str]:
    """The methods and properties that a class has itself, with their names."""
    found = {}
    for name, member in vars(cls).items():
        method = member.fget if isinstance(member, property) else member
        if isinstance(method, FunctionType):
            found[method] = name
    return found
