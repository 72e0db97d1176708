"""How a C structure lies in memory, and how to read it: all known from the object that has it."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import cached_property
from itertools import starmap
from operator import itemgetter
from struct import Struct
from typing import Any, Generic, Self, TypeVar

import msgspec

R = TypeVar("R", bound=msgspec.Struct)

_PADDING = frozenset({"padding", "unused"})
"""Members of these names fill gaps, which the verifier wants filled, and mean nothing."""


@dataclass(frozen=True, slots=True)
class Member:
    """One member; that of a nested structure has the nested one's name before its own: `io_read_bytes`."""

    name: str
    offset: int
    size: int
    code: str
    """For :mod:`struct`. An array is one run of bytes."""
    is_text: bool = False
    """An array of `char`: text that a NUL ends, where it is shorter."""

    @property
    def end(self) -> int:
        """The offset of the first byte after it."""
        return self.offset + self.size


@dataclass(frozen=True)
class Layout:
    """One structure as a BPF object describes it; members in the order of memory."""

    name: str
    size: int
    all_members: tuple[Member, ...]

    @classmethod
    def of_values(cls, name: str, text: Member, *numbers: str) -> Self:
        """That of rows that a collector puts together itself: a text, and numbers of 64 bits."""
        members = (Member(number, text.size + 8 * at, 8, "Q") for at, number in enumerate(numbers))
        return cls(name, text.size + 8 * len(numbers), (replace(text, offset=0), *members))

    @cached_property
    def members(self) -> tuple[Member, ...]:
        """The members that mean something."""
        return tuple(member for member in self.all_members if member.name not in _PADDING)

    @cached_property
    def names(self) -> tuple[str, ...]:
        """The names of these members."""
        return tuple(member.name for member in self.members)

    @cached_property
    def _by_name(self) -> Mapping[str, Member]:
        return {member.name: member for member in self.members}

    def __getitem__(self, name: str) -> Member:
        self.demand((name,), "a collector")
        return self._by_name[name]

    def demand(self, names: Iterable[str], who: str) -> None:
        """See to it that these members exist.

        Raises:
            TypeError: one does not.
        """
        if missing := [name for name in names if name not in self._by_name]:
            raise TypeError(
                f"struct {self.name} has no member {', '.join(missing)}, which {who} reads; "
                f"it has {', '.join(self.names)}"
            )

    def nested(self, name: str) -> tuple[str, ...]:
        """The names of the members of a nested structure."""
        inside = tuple(member for member in self.names if member.startswith(f"{name}_"))
        self.demand(() if inside else (name,), "a collector")
        return inside

    def column(self, name: str, data: bytes) -> Sequence[int]:
        """One integer of every record of an array; nothing else of them is looked at."""
        member = self[name]
        words: memoryview[int] = memoryview(data).cast(member.code)  # type: ignore[call-overload]
        return words[member.offset // member.size :: self.size // member.size]

    def struct(self, names: Collection[str] | None = None, *, signed: Collection[str] = ()) -> Struct:
        """Reads members, in the order of memory, and passes over the others.

        Args:
            names: those to read; None: all.
            signed: members to take for signed, as stores hold unsigned numbers of 64 bits.
        """
        parts, at = ["<"], 0
        for member in self.members:
            if names is None or member.name in names:
                code = member.code.lower() if member.name in signed else member.code
                parts.append(f"{_gap(member.offset - at)}{code}")
                at = member.end
        return Struct("".join(parts) + _gap(self.size - at))

    def pack(self, **values: int | bytes) -> bytes:
        """The structure's bytes with these members; all others are 0 or empty."""
        self.demand(values, "a caller")
        empty: Mapping[bool, int | bytes] = {True: b"", False: 0}
        return self.struct().pack(*(values.get(m.name, empty[m.code.endswith("s")]) for m in self.members))


def _gap(size: int) -> str:
    return f"{size}x" if size else ""


class Records(Generic[R]):
    """Reads records out of bytes, as far as a collector names their members.

    Args:
        layout: the structure.
        record: what to make of each: a :class:`msgspec.Struct` whose fields have the names of members.

    Raises:
        TypeError: the structure has no member of one of the names.
    """

    def __init__(self, layout: Layout, record: type[R]) -> None:
        wanted = record.__struct_fields__
        layout.demand(wanted, record.__qualname__)
        self.size = layout.size
        self._make = record
        self._struct = layout.struct(wanted)
        read = [name for name in layout.names if name in wanted]
        self._sort = None if read == [*wanted] else itemgetter(*(read.index(name) for name in wanted))

    def each(self, data: bytes) -> Iterator[R]:
        """The records of an array, one after the other."""
        return self._made(self._struct.iter_unpack(data))

    def listed(self, data: Iterable[bytes]) -> Iterator[R]:
        """Records that lie in memory each by itself, as those of a ring buffer do."""
        return self._made(map(self._struct.unpack, data))

    def at(self, data: bytes, offset: int = 0) -> R:
        """The record that begins there; more may follow."""
        return next(self._made(iter((self._struct.unpack_from(data, offset),))))

    def _made(self, rows: Iterator[tuple[Any, ...]]) -> Iterator[R]:
        return starmap(self._make, rows if self._sort is None else map(self._sort, rows))
