"""Where a socket listens, as the programs write it (struct place of bpf/sock.h)."""

from __future__ import annotations

import socket

PLACE = "QHH16s4x"
"""Inode, family, port and address, for a format of :mod:`struct`."""


def address(family: int, raw: bytes) -> str:
    """An address as people write it."""
    return socket.inet_ntop(family, raw[:4] if family == socket.AF_INET else raw)
