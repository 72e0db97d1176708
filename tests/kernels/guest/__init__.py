"""What runs inside the virtual machine: a check of every collector that loads programs into the kernel.

A check makes the thing that its collector should see, and asserts that it was seen as it was. It is
called once for each of the collector's sources that are BPF programs, so that every way to the same
events is tried, not only the best one. The truth is what the programs of ``tests/collectors/bpf``
say of themselves; times are held against it loosely, because an emulated machine keeps them so.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from functools import partial
from importlib import import_module
from pathlib import Path

from kernelsight.collectors.base import Registered, registered

CHECKS = Path("/checks")
PROGRAMS = CHECKS / "programs"
SUBJECTS = ("disks", "memory", "network", "pipeline", "processes", "scheduler", "syscalls")
"""The modules with checks."""

_of_collector: dict[str, Callable[[Registered], None]] = {}
_of_machine: dict[str, Callable[[], None]] = {}


def check(collector: str) -> Callable[[Callable[[Registered], None]], Callable[[Registered], None]]:
    """Declare the check of a collector; it is called with each of its sources."""

    def declare(function: Callable[[Registered], None]) -> Callable[[Registered], None]:
        _of_collector[collector] = function
        return function

    return declare


def check_of_machine(function: Callable[[], None]) -> Callable[[], None]:
    """Declare a check that is about no collector in particular."""
    _of_machine[function.__name__] = function
    return function


def tracers() -> list[Registered]:
    """All sources that are programs in the kernel."""
    return [
        entry
        for entries in registered().values()
        for entry in entries
        if entry.factory.__module__.startswith("kernelsight.collectors.bpf.")
    ]


def planned() -> Mapping[str, Callable[[], None]]:
    """All checks by name: those of the machine, and one for each source of each collector that has a check."""
    for subject in SUBJECTS:
        import_module(f"guest.{subject}")
    checks = {
        f"{entry.name}-{entry.source}": partial(_of_collector[entry.name], entry)
        for entry in tracers()
        if entry.name in _of_collector
    }
    return {**checks, **_of_machine}


def unchecked() -> set[str]:
    """The collectors with programs in the kernel that have no check."""
    planned()
    return {entry.name for entry in tracers()} - set(_of_collector)
