"""What is true of a run: which fault there is, and who may be named for it. The scenario says it, no diagnosis."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass


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
    changed: tuple[str, ...] = ()
    """What the scenario changed shortly before, which a finding is to name as a candidate: settings, mounts."""

    @property
    def names(self) -> frozenset[str]:
        """The names of all culprits."""
        own = (name for culprit in self.culprits for name in culprit.names)
        return frozenset((*own, *(name for other in self.also for name in other.names)))

    @property
    def right(self) -> frozenset[str]:
        """The classes that are right."""
        return frozenset((*((self.fault,) if self.fault else ()), *self.faults))
