"""Addresses of sockets, as the programs write them (struct place of bpf/sock.h)."""

from __future__ import annotations

import socket
from functools import lru_cache


@lru_cache(maxsize=4096)  # the same sockets are there every second
def address(family: int, raw: bytes) -> str:
    """An address as people write it."""
    return socket.inet_ntop(family, raw[:4] if family == socket.AF_INET else raw)
