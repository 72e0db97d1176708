"""Where services listen, as bpf/service.h has it, and as people write it."""

from __future__ import annotations

import socket
from collections.abc import Collection
from functools import lru_cache
from ipaddress import ip_address
from typing import NamedTuple

import msgspec

from kernelsight.collectors.bpf.layout import Layout, Records
from kernelsight.collectors.bpf.libbpf import Object
from kernelsight.collectors.bpf.place import plain_address
from kernelsight.collectors.text import name
from kernelsight.events.service import Protocol

TCP, UDP, UNIX = 0, 1, 2
"""enum protocol."""
PROTOCOLS: tuple[Protocol, ...] = ("tcp", "udp", "unix")
_ANY = bytes(16)
_MOST_READERS = 4096


class Place(NamedTuple):
    """Where a service listens (struct service_key)."""

    address: bytes
    netns: int
    port: int
    protocol: int
    family: int


class Reader(NamedTuple):
    """The process that read from a service's clients last."""

    pid: int
    comm: str
    cgroup_id: int


class _Key(msgspec.Struct, gc=False):
    address: bytes
    netns: int
    port: int
    protocol: int
    family: int


def address(family: int, raw: bytes) -> str | None:
    """An address of IPv4 or IPv6; that of IPv4 in a socket of IPv6 as what it is; None where there is none."""
    return plain_address(family, raw) if family in {socket.AF_INET, socket.AF_INET6} else None


@lru_cache(maxsize=4096)
def is_loopback(text: str | None) -> bool:
    """Whether an address can only be this machine's."""
    return text is not None and ip_address(text).is_loopback


def unix_name(raw: bytes) -> str:
    """The name of a Unix socket: a path, which a NUL may end, or an abstract one, with an at sign in front."""
    return f"@{name(raw[1:].rstrip(bytes(1)))}" if raw[:1] == b"\0" else name(raw.split(b"\0", 1)[0])


class Places:
    """Reads keys, and knows the names of Unix sockets and who reads at a place."""

    def __init__(self, loaded: Object) -> None:
        self._keys = Records(loaded.types.layout("service_key"), _Key)
        self._names = loaded.map("unix_names")
        self._name_layout = loaded.types.layout("unix_name")
        self._known_names: dict[bytes, str | None] = {}
        self.readers: dict[Place, Reader] = {}

    def of_keys(self, keys: bytes) -> list[Place]:
        """The places of an array of keys."""
        return [self._place(keys, at) for at in range(0, len(keys), self._keys.size)]

    def of_sums(self, sums: bytes, layout: Layout) -> list[Place]:
        """The places of an array of sums, which begin with their key."""
        return [self._place(sums, at) for at in range(0, len(sums), layout.size)]

    def _place(self, raw: bytes, at: int) -> Place:
        key = self._keys.at(raw, at)
        return Place(key.address, key.netns, key.port, key.protocol, key.family)

    def text(self, place: Place) -> str | None:
        """Its address as people write it."""
        if place.protocol != UNIX:
            return address(place.family, place.address)
        key = place.address[: self._names.key_size]
        if key not in self._known_names:
            name = self._names.lookup(key)
            layout = self._name_layout
            length = layout.column("length", name)[0] if name else 0
            start = layout["name"].offset
            self._known_names[key] = unix_name(name[start : start + length]) if name else None
        return self._known_names[key]

    def local_reader(self, place: Place) -> tuple[bool | None, Reader | None]:
        """Whether a service of datagrams is on this machine (None: not known), and who reads there."""
        loopback = is_loopback(self.text(place))
        for key in (place, place._replace(address=_ANY), Place(_ANY, place.netns, place.port, UDP, socket.AF_INET6)):
            if key in self.readers and (loopback or key == place):
                return True, self.readers[key]
        return (True if loopback else None), None

    def forget(self, used: Collection[Place]) -> None:
        """Give up what is known of other places, when that has become much."""
        if len(self._known_names) > _MOST_READERS:
            self._known_names.clear()
        if len(self.readers) > _MOST_READERS:
            self.readers = {place: reader for place, reader in self.readers.items() if place in used}
