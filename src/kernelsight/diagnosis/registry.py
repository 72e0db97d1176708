"""All classes of faults and all mechanisms, from the modules of their packages: a new module is found by itself."""

from __future__ import annotations

import traceback
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import replace
from functools import cache
from pathlib import Path
from types import ModuleType
from typing import Any

from kernelsight.diagnosis.candidate import Candidate
from kernelsight.diagnosis.fault import FaultClass, Traits
from kernelsight.diagnosis.mechanism import Mechanism
from kernelsight.diagnosis.model import Fault
from kernelsight.diagnosis.window import Window
from kernelsight.registry import Plugins

ODD_VALUES = (ArithmeticError, TypeError, ValueError)
"""What arithmetic on a missing or absurd value raises."""
Finder = Callable[[Window], Iterable[Candidate]]
"""What yields the candidates of a window for one class of faults."""


def _declared_fault(module: ModuleType) -> FaultClass:
    name = module.__name__.rpartition(".")[2]
    declared = getattr(module, name.upper(), None)
    if not isinstance(declared, FaultClass) or declared.name != name:
        raise TypeError(f"diagnosis/faults/{name}.py: {name.upper()} is to be the class {name!r}")
    return declared


def _declared_mechanism(module: ModuleType) -> Mechanism[Any]:
    name = module.__name__.rpartition(".")[2]
    declared = getattr(module, "MECHANISM", None)
    if not isinstance(declared, Mechanism):
        raise TypeError(f"diagnosis/mechanisms/{name}.py: MECHANISM is to be a mechanism")
    return replace(declared, name=name)


_FAULTS = Plugins("kernelsight.diagnosis.faults", _declared_fault)
_MECHANISMS = Plugins("kernelsight.diagnosis.mechanisms", _declared_mechanism)


def fault_classes() -> Mapping[Fault, FaultClass]:
    """All classes by name.

    Raises:
        TypeError: a module does not declare the class that it is called after.
    """
    return _FAULTS.all()


def traits(fault: Fault) -> Traits:
    """How a class relates to others."""
    return fault_classes()[fault].traits


def mechanisms() -> Mapping[str, Mechanism[Any]]:
    """All mechanisms by name.

    Raises:
        TypeError: a module declares none.
    """
    return _MECHANISMS.all()


@cache
def finders() -> Mapping[Fault, Sequence[Finder]]:
    """What tests a window for each class: its mechanisms."""
    found: dict[Fault, list[Finder]] = {fault: [] for fault in fault_classes()}
    for mechanism in mechanisms().values():
        found[mechanism.fault.name].append(mechanism.candidates)
    return found


def found_by(finder: Finder, window: Window) -> tuple[list[Candidate], str]:
    """What a finder yields of a window; and why it cannot judge it, or could not go on, empty where it can.

    Any SQLite client may write rows, with values that no kernel gives. Such a value ends this finder alone.
    """
    candidates: list[Candidate] = []
    try:
        candidates.extend(finder(window))
    except ODD_VALUES as error:
        place = traceback.extract_tb(error.__traceback__)[-1]
        where = f"{Path(place.filename).stem}, line {place.lineno}"
        return candidates, f"its rows hold a value that cannot be used ({type(error).__name__}, {where})"
    return candidates, ""
