"""What becomes of values that are looked at now and then: a row at the first look, and one for each change."""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Collection, Iterator
from typing import Generic, NamedTuple, TypeVar

from kernelsight.collectors.damage import note

V = TypeVar("V")

_MOST_CHANGES = 60
"""Of one name in one run: what changes more often is no setting, and is not looked at any more."""

_MOST_COUNTED = 10_000
"""Names whose changes are counted: of more, those that changed longest ago begin anew."""


class Difference(NamedTuple, Generic[V]):
    """A value that was found for the first time, changed, or gone."""

    name: str
    value: V | None
    """None: it is gone."""
    previous: V | None
    """None: there was none."""
    unchanged_ns: int | None
    """Stamp of the last look before this one; None: this is the first look at anything."""


class Differences(Generic[V]):
    """Values by name, as they were at the last look at each."""

    def __init__(self) -> None:
        self._known: dict[str, tuple[V, int]] = {}
        self._changes: OrderedDict[str, int] = OrderedDict()
        self._looked_ns: int | None = None
        """Stamp of the last whole look: what is new came after it."""

    def seen(self, name: str, value: V, now: int) -> Difference[V] | None:
        """What a look at one name tells; None where it is as it was, or changes all the time.

        Args:
            name: of the value.
            value: what it is.
            now: stamp of the look.
        """
        before = self._known.get(name)
        self._known[name] = value, now
        if before is None:
            return self._difference(name, value, None, self._looked_ns)
        return None if before[0] == value else self._difference(name, value, *before)

    def whole(self, names: Collection[str], now: int) -> Iterator[Difference[V]]:
        """What is gone, after a look at everything that there is.

        Args:
            names: all that there are.
            now: stamp of the look.
        """
        for name in self._known.keys() - names:
            value, seen_ns = self._known.pop(name)
            if (gone := self._difference(name, None, value, seen_ns)) is not None:
                yield gone
        self._looked_ns = now

    def _difference(
        self, name: str, value: V | None, previous: V | None, unchanged_ns: int | None
    ) -> Difference[V] | None:
        if unchanged_ns is not None:
            changes = self._changes[name] = self._changes.pop(name, 0) + 1
            if len(self._changes) > _MOST_COUNTED:  # names that come and go for good, such as mounts of containers
                self._changes.popitem(last=False)
            if changes == _MOST_CHANGES:
                note("it changes all the time, and its changes are not recorded any more", name.encode())
            if changes >= _MOST_CHANGES:
                return None
        return Difference(name, value, previous, unchanged_ns)
