"""What is put before the cases: a system that answers, KernelSight or a simple rule. A new one is a new module."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

from benchmarks.faultbench.case import Case
from benchmarks.faultbench.submission import CaseAnswer, Found

from kernelsight.events.declare import Event
from kernelsight.registry import Registry

LOOKS_BACK_NS = 60 * 1_000_000_000
"""A window begins so long before its end, or where the recording does."""

Answer = Callable[[Case], CaseAnswer]
Rule = Callable[[Sequence[Event], int], list[Found]]
"""From the events of a window, and the moment (ns) of its end, what is wrong, the surest first."""


@dataclass(frozen=True, slots=True)
class System:
    """A system that answers."""

    name: str
    summary: str
    answer: Answer


_SYSTEMS: Registry[str, System] = Registry("system", "benchmarks.faultbench.systems")


def system(name: str) -> Callable[[Answer], Answer]:
    """Register a function that answers a case; its docstring says how it comes to its answers."""

    def declare(answer: Answer) -> Answer:
        _SYSTEMS.add(name, System(name, " ".join((answer.__doc__ or "").split()), answer))
        return answer

    return declare


def rule(name: str) -> Callable[[Rule], Rule]:
    """Register a rule over the events of a window as a system."""

    def declare(function: Rule) -> Rule:
        def answer(case: Case) -> CaseAnswer:
            events = case.events()
            before, end = (function(window(events, moment), moment) for moment in (case.before_ns, case.end_ns))
            return CaseAnswer(before=before, end=end)

        answer.__doc__ = function.__doc__
        system(name)(answer)
        return function

    return declare


def window(events: Sequence[Event], end_ns: int) -> list[Event]:
    """The events of the window that ends at a moment."""
    return [event for event in events if end_ns - LOOKS_BACK_NS <= event.timestamp <= end_ns]


def systems() -> Mapping[str, System]:
    """All systems by name."""
    return _SYSTEMS.all()
