"""How the columns of an event are filled with what a program of the kernel wrote.

A column takes the member of its name. So a new figure of a tracer is a member of its C structure and a
column of the event, of one name, and nothing else. Columns that are made of other members are declared::

    _EVENTS = Columns(Wait, "edge_key", "edge", state=made(_STATES.__getitem__, "state"))

All records are read at once and filled in column by column, which takes less time than record by record.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Sequence
from itertools import islice, repeat
from operator import itemgetter
from typing import Any, Generic, NamedTuple, TypeAlias, TypeVar

from kernelsight.collectors.bpf.btf import Btf
from kernelsight.collectors.bpf.layout import Layout, Member
from kernelsight.collectors.text import fixed_name
from kernelsight.events.declare import Column, Event, kind_of

E = TypeVar("E", bound=Event)
Stamp: TypeAlias = int | Callable[[int], int]

_AT_ONCE = 256  # records; fewer than make the garbage collector look at what is only passing through
_NOTHING, _STAMPS = -2, -1  # among the columns


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
        self.readers = [layout.struct(signed=signed) for layout in layouts]
        self._made: list[tuple[Callable[..., Any], tuple[int, ...]]] = []
        self._order = itemgetter(*(self._place(column) for column in kind.columns))

    def __call__(self, stamp: Stamp, *records: bytes | Sequence[bytes]) -> list[E]:
        """The events.

        Args:
            stamp: the grid point, or what makes a stamp of the kernel's monotonic time.
            records: for each structure an array of it, or, as a ring buffer has them, one by one.
        """
        counts = [
            len(part) // layout.size if isinstance(part, bytes) else len(part)
            for layout, part in zip(self.layouts, records, strict=True)
        ]
        if len({*counts}) > 1:
            raise ValueError(f"{self._where}: {counts} records")
        rows = [
            reader.iter_unpack(part) if isinstance(part, bytes) else map(reader.unpack, part)
            for reader, part in zip(self.readers, records, strict=True)
        ]
        events: list[E] = []
        for _ in range(0, counts[0], _AT_ONCE):
            # The members of so many records, those of all structures side by side.
            members = [column for part in rows for column in zip(*islice(part, _AT_ONCE), strict=True)]
            events += self._events(stamp, members)
        return events

    def rows(self, stamp: int, rows: Iterable[Sequence[Any]]) -> list[E]:
        """The events of rows that a collector read by `readers` or put together itself: a value for every member."""
        members = list(zip(*rows, strict=True))
        return list(self._events(stamp, members)) if members else []

    def _events(self, stamp: Stamp, members: list[tuple[Any, ...]]) -> Iterator[E]:
        columns: list[Iterable[Any]] = [*members]
        for function, positions in self._made:
            columns.append(map(function, *[members[at] for at in positions]))
        columns.append(repeat(None))
        if isinstance(stamp, int):
            columns.append(repeat(stamp, len(members[0])))
        else:
            assert self._declared.stamp is not None, f"{self._where}: no member is declared to be the stamp"
            columns.append(map(stamp, members[self._position[self._declared.stamp]]))
        return map(self._event, *self._order(columns))

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

    def _place(self, column: Column) -> int:
        """Where a column is among the members, those that are made, what has no value, and the stamps."""
        name = column.name
        if name == "timestamp":
            return _STAMPS
        how = self._declared.columns.get(name)
        if how is None and name not in self._position:
            return _NOTHING
        if how is None:
            position = self._position[name]
            member = self._members[position]
            if not _fits(column, member):
                raise TypeError(f"{self._where}: column {name} is {column.type}, its member is not; say how it is made")
            if not member.is_text:
                return position
            how = made(fixed_name, name)
        self._made.append((how.function, tuple(self._position[member] for member in how.members)))
        return len(self._members) + len(self._made) - 1


def _fits(column: Column, member: Member) -> bool:
    if column.type == "TEXT":
        return member.is_text and not column.choices
    return column.type == ("BOOLEAN" if member.code == "?" else "INTEGER") and not member.code.endswith("s")
