"""Types as an object or the kernel describes them itself (Documentation/bpf/btf.rst)."""

from __future__ import annotations

import ctypes as c
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from struct import Struct
from typing import NamedTuple

from kernelsight.collectors.bpf import abi
from kernelsight.collectors.bpf.layout import Layout, Member

_TYPE = Struct("<III")  # struct btf_type: name, kind and number of members, size or type
_MEMBER = Struct("<III")  # struct btf_member: name, type, offset in bits
_ENUMERATOR = Struct("<II")  # struct btf_enum: name, value
_VARIABLE = Struct("<III")  # struct btf_var_secinfo: type, offset, size
_ARRAY = Struct("<III")  # struct btf_array: type, type of the index, number of elements
_INTEGER = Struct("<I")

# BTF_KIND_*
_INT, _PTR, _ARRAY_KIND, _STRUCT, _UNION, _ENUM, _DATASEC, _ENUM64 = 1, 2, 3, 4, 5, 6, 15, 19
_MODIFIERS = frozenset({8, 9, 10, 11, 14, 18})  # typedef, volatile, const, restrict, and what a variable or a tag is of
_SIGNED, _BOOL = 1, 4  # BTF_INT_*
_UNSIGNED_CODES = {1: "B", 2: "H", 4: "I", 8: "Q"}


class Variable(NamedTuple):
    """Where a variable lies in its section, and how to read it."""

    offset: int
    size: int
    code: str | None
    """For :mod:`struct`, of an integer or of each of an array of them; None where it is neither."""


@dataclass(frozen=True, slots=True)
class _Type:
    """One type: where it lies in memory, and its head."""

    address: int
    name_at: int
    kind: int
    count: int
    has_bitfields: bool
    size: int
    """Of an integer, a structure or an enumeration; else the number of the type that it is about."""


class Btf:
    """One set of types. It is valid for as long as what it belongs to is open; a :class:`Layout` stays valid.

    Args:
        pointer: libbpf's; None: there is none, and nothing is found.
        owner: whose types they are, for messages.
    """

    def __init__(self, pointer: int | None, owner: str) -> None:
        self._lib = abi.library()
        self._pointer = pointer
        self.owner = owner

    def layout(self, name: str) -> Layout:
        """How a structure lies in memory.

        Raises:
            TypeError: there is none of this name, or it has a bit-field.
        """
        number = self._find(name, _STRUCT)
        if number is None:
            raise TypeError(
                f"{self.owner} does not describe a struct {name}: it must be the type of a map, or stand in RECORD()"
            )
        return Layout(name, self._type(number).size, tuple(self._members(number, f"struct {name} of {self.owner}")))

    def variables(self, section: str) -> dict[str, Variable]:
        """The variables of a section, by name; none where it is not described."""
        number = self._find(section, _DATASEC)
        if number is None:
            return {}
        head = self._type(number)
        return {
            self._name(self._type(variable).name_at): Variable(offset, size, self._code(variable))
            for variable, offset, size in self._after(head, _VARIABLE, head.count)
        }

    def members(self, structure: str) -> frozenset[str]:
        """The names of the direct members of a structure; none if there is no such structure."""
        number = self._find(structure, _STRUCT)
        if number is None:
            return frozenset()
        head = self._type(number)
        return frozenset(self._name(name) for name, _, _ in self._after(head, _MEMBER, head.count))

    def enumeration(self, name: str) -> dict[int, str]:
        """The names of an enumeration by value (32 bits, unsigned); none if there is no such enumeration."""
        number = self._find(name, _ENUM)
        if number is None:
            return {}
        head = self._type(number)
        return {value: self._name(at) for at, value in self._after(head, _ENUMERATOR, head.count)}

    def _members(self, number: int, whole: str, prefix: str = "", start: int = 0) -> Iterator[Member]:
        """The members of a structure, those of a nested one in its place; of a union those of its last alternative."""
        head = self._type(number)
        members = self._after(head, _MEMBER, head.count)
        for name_at, of, bits in members[-1:] if head.kind == _UNION else members:
            name = self._name(name_at)
            if (head.has_bitfields and bits >> 24) or bits % 8:
                raise TypeError(f"{whole}: {prefix}{name} is a bit-field, which is not read; use a whole integer")
            offset = start + (bits & 0xFFFFFF if head.has_bitfields else bits) // 8
            inner = self._resolve(of)
            if self._type(inner).kind in (_STRUCT, _UNION):
                yield from self._members(inner, whole, f"{prefix}{name}_" if name else prefix, offset)
            else:
                yield self._member(f"{prefix}{name}", inner, offset, whole)

    def _member(self, name: str, number: int, offset: int, whole: str) -> Member:
        head = self._type(number)
        if head.kind == _ARRAY_KIND:
            element, _, count = self._after(head, _ARRAY, 1)[0]
            size = self._size(self._resolve(element)) * count
            return Member(name, offset, size, f"{size}s", is_text=self._is_text(element))
        size = self._size(number)
        if head.kind == _INT:
            return Member(name, offset, size, self._integer(head))
        if head.kind in (_PTR, _ENUM, _ENUM64):
            return Member(name, offset, size, _UNSIGNED_CODES[size])
        raise TypeError(f"{whole}: {name} is of a kind that is not read (BTF_KIND {head.kind})")

    def _code(self, number: int) -> str | None:
        """For :mod:`struct`, of an integer or of each of an array of them."""
        head = self._type(self._resolve(number))
        if head.kind == _ARRAY_KIND:
            head = self._type(self._resolve(self._after(head, _ARRAY, 1)[0][0]))
        return self._integer(head) if head.kind == _INT else None

    def _integer(self, head: _Type) -> str:
        encoding = self._after(head, _INTEGER, 1)[0][0] >> 24 & 0xF
        code = "?" if encoding & _BOOL else _UNSIGNED_CODES[head.size]
        return code.lower() if encoding & _SIGNED else code

    def _is_text(self, number: int) -> bool:
        """Whether it is `char` itself: `u8` holds bytes that are no text."""
        return self._name(self._type(self._resolve(number)).name_at) == "char"

    def _size(self, number: int) -> int:
        head = self._type(number)
        if head.kind == _PTR:
            return 8
        if head.kind == _ARRAY_KIND:
            element, _, count = self._after(head, _ARRAY, 1)[0]
            return self._size(self._resolve(element)) * count
        return head.size

    def _resolve(self, number: int) -> int:
        """The type that a name, `const`, `volatile` or a variable stands for."""
        while (head := self._type(number)).kind in _MODIFIERS:
            number = head.size
        return number

    def _find(self, name: str, kind: int) -> int | None:
        number = self._lib.btf__find_by_name_kind(self._pointer, name.encode(), kind) if self._pointer else -1
        return number if number >= 0 else None

    def _type(self, number: int) -> _Type:
        address = self._lib.btf__type_by_id(self._pointer, number)
        name_at, info, size = _TYPE.unpack(c.string_at(address, _TYPE.size))
        return _Type(address, name_at, info >> 24 & 0x1F, info & 0xFFFF, bool(info >> 31), size)

    def _after(self, head: _Type, what: Struct, count: int) -> list[tuple[int, ...]]:
        """What follows the head of a type."""
        return list(what.iter_unpack(c.string_at(head.address + _TYPE.size, count * what.size)))

    def _name(self, at: int) -> str:
        name: bytes = self._lib.btf__name_by_offset(self._pointer, at)
        return name.decode()


@contextmanager
def of_kernel() -> Iterator[Btf]:
    """The types of the running kernel; without any where it does not describe them."""
    lib = abi.library()
    pointer = lib.btf__load_vmlinux_btf()
    try:
        yield Btf(pointer, "the kernel")
    finally:
        if pointer:
            lib.btf__free(pointer)


@contextmanager
def of_image(image: bytes, name: str) -> Iterator[Btf]:
    """The types of an object file, which is not loaded for it: any user may.

    Args:
        image: the object file.
        name: what it is called in messages.
    """
    lib = abi.library()
    opened = lib.bpf_object__open_mem(image, len(image), c.byref(abi.OpenOptions.of(name)))
    if not opened:
        raise abi.refusal(f"cannot open the BPF object {name}", c.get_errno())
    try:
        yield Btf(lib.bpf_object__btf(opened), name)
    finally:
        lib.bpf_object__close(opened)
