"""Names of the running kernel's enumerations, from its BTF (Documentation/bpf/btf.rst)."""

from __future__ import annotations

import ctypes as c
from struct import Struct

from kernelsight.collectors.bpf import abi

_ENUM = 6  # BTF_KIND_ENUM
_HEADER = Struct("<III")  # struct btf_type: name, kind and number of members, size
_MEMBER = Struct("<II")  # struct btf_enum: name, value


def kernel_enums(*names: str) -> list[dict[int, str]]:
    """For each enumeration its names by value (32 bits, unsigned); empty where the kernel has none of this name."""
    lib = abi.library()
    btf = lib.btf__load_vmlinux_btf()
    if not btf:
        return [{} for _ in names]
    try:
        return [_enum(btf, name) for name in names]
    finally:
        lib.btf__free(btf)


def _enum(btf: int, name: str) -> dict[int, str]:
    lib = abi.library()
    type_id = lib.btf__find_by_name_kind(btf, name.encode(), _ENUM)
    if type_id < 0:
        return {}
    address = lib.btf__type_by_id(btf, type_id)
    _, info, _ = _HEADER.unpack(c.string_at(address, _HEADER.size))
    members = c.string_at(address + _HEADER.size, (info & 0xFFFF) * _MEMBER.size)
    return {value: lib.btf__name_by_offset(btf, at).decode() for at, value in _MEMBER.iter_unpack(members)}
