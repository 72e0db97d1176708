"""How the columns of an event are filled with what a program of the kernel wrote.

A column takes the member of its name. So a new figure of a tracer is a member of its C structure and a
column of the event, of one name, and nothing else. Columns that are made of other members are declared::

    _EVENTS = Columns(Wait, "edge_key", "edge", state=made(_STATES.__getitem__, "state"))

All records are read at once and filled in column by column, which takes less time than record by record.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from functools import lru_cache
from itertools import repeat
from operator import itemgetter
from typing import Any, Generic, NamedTuple, TypeAlias, TypeVar

import msgspec

from kernelsight.collectors.bpf.btf import Btf
from kernelsight.collectors.bpf.layout import Layout, Member
from kernelsight.collectors.text import fixed_name
from kernelsight.events.declare import Column, Event, kind_of

E = TypeVar("E", bound=Event)
Stamp: TypeAlias = int | Callable[[int], int]
_Values: TypeAlias = Iterable[Any]
_Fill: TypeAlias = Callable[[Sequence[Sequence[Any]]], _Values]

_name = lru_cache(maxsize=4096)(fixed_name)  # the same processes come again and again


class Made(NamedTuple):
    """How a column is made of members."""

    function: Callable[..., Any]
    members: tuple[str, ...]


def made(function: Callable[..., Any], *members: str) -> Made:
    """A column that a function makes of these members: integers, and bytes where a member is an array."""
    return Made(function, members)


class Columns(Generic[E]):
    """Which members fill the columns of an event.

    Args:
        event: the event.
        structures: the C structures that one event is made of, such as the key and the value of a map.
        stamp: the member with the time, on the kernel's monotonic clock; None: events are of the grid point.
        apart: members that the collector reads by itself; the name of a nested structure stands for all of it.
        columns: how each column is made that is not simply the member of its name.
    """

    def __init__(
        self,
        event: type[E],
        *structures: str,
        stamp: str | None = None,
        apart: Iterable[str] = (),
        **columns: Made,
    ) -> None:
        self.event = event
        self.structures = structures
        self.stamp = stamp
        self.apart = frozenset(apart)
        self.columns = columns

    def of(self, types: Btf) -> Filler[E]:
        """What makes the events, where the structures are as an object describes them.

        Raises:
            TypeError: a member or a column is missing, is not of the other's type, or is used by nobody.
        """
        return Filler(self, [types.layout(name) for name in self.structures])


class Filler(Generic[E]):
    """Makes events of records."""

    def __init__(self, declared: Columns[E], layouts: Sequence[Layout]) -> None:
        self.layouts = tuple(layouts)
        self._declared = declared
        self._event = declared.event
        kind = kind_of(declared.event)
        self._where = f"{kind.struct.__name__} of struct {' and '.join(declared.structures)}"
        self._members = [member for layout in layouts for member in layout.members]
        self._position = {member.name: at for at, member in enumerate(self._members)}
        self._check(kind.column_names)
        signed = {column.name for column in kind.columns if column.unsigned64}
        self._readers = [layout.struct(signed=signed) for layout in layouts]
        defaults = {field.name: field.default for field in msgspec.structs.fields(declared.event)}
        self._fills = [self._fill(column, defaults[column.name]) for column in kind.columns[1:]]
        self._stamped = None if declared.stamp is None else self._position[declared.stamp]

    def __call__(self, stamp: Stamp, *records: bytes | Sequence[bytes]) -> list[E]:
        """The events.

        Args:
            stamp: the grid point, or what makes a stamp of the kernel's monotonic time.
            records: for each structure an array of it, or, as a ring buffer has them, one by one.
        """
        values: list[Sequence[Any]] = []
        for reader, part in zip(self._readers, records, strict=True):
            rows = reader.iter_unpack(part) if isinstance(part, bytes) else map(reader.unpack, part)
            values += zip(*rows, strict=True)
        if not values:
            return []
        stamps: _Values
        if isinstance(stamp, int):
            stamps = repeat(stamp, len(values[0]))
        else:
            assert self._stamped is not None, f"{self._where}: no member is declared to be the stamp"
            stamps = map(stamp, values[self._stamped])
        return list(map(self._event, stamps, *(fill(values) for fill in self._fills)))

    def _check(self, columns: tuple[str, ...]) -> None:
        declared = self._declared
        if len(self._position) != len(self._members):
            raise TypeError(f"{self._where}: two members have one name; rename one in the C source")
        if unknown := declared.columns.keys() - {*columns}:
            raise TypeError(f"{self._where}: no column {', '.join(sorted(unknown))}")
        used = {name for how in declared.columns.values() for name in how.members}
        if declared.stamp is not None:
            used.add(declared.stamp)
        for apart in declared.apart:
            inside = {name for name in self._position if name == apart or name.startswith(f"{apart}_")}
            used |= inside or {apart}
        if missing := used - self._position.keys():
            raise TypeError(
                f"{self._where}: no member {', '.join(sorted(missing))}; is the object older than its code?"
            )
        if idle := self._position.keys() - used - ({*columns} - declared.columns.keys()):
            raise TypeError(f"{self._where}: nobody uses {', '.join(sorted(idle))}; no column has such a name")

    def _fill(self, column: Column, default: Any) -> _Fill:
        name = column.name
        if name in self._declared.columns:
            function, members = self._declared.columns[name]
            at = [self._position[member] for member in members]
            return lambda values: map(function, *(values[i] for i in at))
        if name not in self._position:
            return lambda _: repeat(default)
        position = self._position[name]
        member = self._members[position]
        if not _fits(column, member):
            raise TypeError(f"{self._where}: column {name} is {column.type}, its member is not; say how it is made")
        if member.is_text:
            return lambda values: map(_name, values[position])
        return itemgetter(position)


def _fits(column: Column, member: Member) -> bool:
    if column.type == "TEXT":
        return member.is_text and not column.choices
    return column.type == ("BOOLEAN" if member.code == "?" else "INTEGER") and not member.code.endswith("s")
