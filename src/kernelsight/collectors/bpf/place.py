"""Addresses of sockets, as the programs write them (struct place of bpf/sock.h)."""

from __future__ import annotations

import socket
from functools import lru_cache

_MAPPED = bytes(10) + b"\xff\xff"
"""How the address of an IPv4 peer begins in a socket of IPv6."""


@lru_cache(maxsize=4096)  # the same sockets are there every second
def address(family: int, raw: bytes) -> str:
    """An address as people write it."""
    return socket.inet_ntop(family, raw[:4] if family == socket.AF_INET else raw)


def plain(family: int, raw: bytes) -> bytes:
    """The bytes of an address; those of an IPv4 peer of an IPv6 socket as what they are."""
    if family != socket.AF_INET6:
        return raw[:4]
    return raw[12:] if raw.startswith(_MAPPED) else raw


@lru_cache(maxsize=4096)
def plain_address(family: int, raw: bytes) -> str:
    """An address as text; that of an IPv4 peer of an IPv6 socket as what it is."""
    end = plain(family, raw)
    return socket.inet_ntop(socket.AF_INET if len(end) == 4 else socket.AF_INET6, end)
