"""What a scenario is: a program that makes a fault, or a busy machine with which nothing is wrong.

::

    @scenario("hog_beside_a_server", needs=("gcc",))
    def hog_beside_a_server(stage: Stage) -> Iterator[Truth]:
        '''A few hogs take the CPUs from a server that needs little.'''
        stage.start(...)                # what is there before: victims, other load
        yield Truth()                   # everything is ready; a quiet stretch follows
        hog = stage.start(...)          # the fault
        yield Truth("cpu_saturation", culprits=(hog.culprit,))

The bench notes when the second ``yield`` is reached (the onset), lets the fault last, and closes the
stage, which ends and removes everything. A control yields ``Truth()`` the second time too. Where a
scenario has several faults at once, it yields ``Truth`` with others in ``also``.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from functools import cache
from typing import TYPE_CHECKING

from kernelsight.registry import load_modules

if TYPE_CHECKING:
    from benchmarks.faultbench.stage import Stage


@dataclass(frozen=True, slots=True)
class Culprit:
    """Who may be named: an id (a pid, a device, a path), or a name where ids are of no use."""

    ids: tuple[str, ...] = ()
    names: tuple[str, ...] = ()

    def is_named(self, entity: Mapping[str, str]) -> bool:
        """Whether a finding's culprit is this one."""
        return entity["id"] in self.ids or entity["name"] in self.names


@dataclass(frozen=True, slots=True)
class Truth:
    """What is wrong: nothing, or a class of fault with its culprit. Written by the scenario, not by the diagnosis."""

    fault: str | None = None
    culprits: tuple[Culprit, ...] = ()
    """Any of them is right."""
    faults: tuple[str, ...] = ()
    """Classes that are as right as `fault`, where two names fit the same thing."""
    also: tuple[Truth, ...] = ()
    """Further faults at the same time, independent of it."""

    @property
    def right(self) -> frozenset[str]:
        """The classes that are right."""
        return frozenset((*((self.fault,) if self.fault else ()), *self.faults))


Play = Callable[["Stage"], Iterator[Truth]]


@dataclass(frozen=True, slots=True)
class Scenario:
    """A registered scenario."""

    name: str
    play: Play
    needs: tuple[str, ...]
    """Commands without which it cannot be played."""
    lasts_s: float
    tags: frozenset[str] = field(default_factory=frozenset)
    """`control`, `red_herring`, `two_at_once`."""


_REGISTRY: dict[str, Scenario] = {}


def scenario(
    name: str, *, needs: Sequence[str] = (), lasts_s: float = 16, tags: Sequence[str] = ()
) -> Callable[[Play], Play]:
    """Register a scenario; it lasts at most 25 s."""

    def declare(play: Play) -> Play:
        if name in _REGISTRY:
            raise TypeError(f"there are two scenarios {name!r}")
        _REGISTRY[name] = Scenario(name, play, tuple(needs), min(lasts_s, 25), frozenset(tags))
        return play

    return declare


@cache
def scenarios() -> Mapping[str, Scenario]:
    """All scenarios by name. A new module is found by itself."""
    load_modules("benchmarks.faultbench.scenarios")
    return dict(sorted(_REGISTRY.items()))
