"""What the tables of sockets in /proc/net have in common."""

from __future__ import annotations

import socket
import sys

from kernelsight.events.declare import INT64_MAX

_V4_BYTES = 4


def hexadecimal(digits: bytes) -> int:
    """A number as these tables have it.

    Raises:
        ValueError: it is none, or does not fit into 64 signed bits.
    """
    value = int.from_bytes(bytes.fromhex(digits.decode("ascii")), "big")
    if value > INT64_MAX:
        raise ValueError(f"{digits!r} is too large")
    return value


def place(field: bytes) -> tuple[str, int]:
    """Address and port; the kernel prints an address as 32-bit numbers of its own byte order.

    Raises:
        ValueError: it is not that.
    """
    digits, _, port = field.partition(b":")
    raw = bytes.fromhex(digits.decode("ascii"))
    if sys.byteorder == "little":
        raw = b"".join(raw[at : at + 4][::-1] for at in range(0, len(raw), 4))
    family = socket.AF_INET if len(raw) == _V4_BYTES else socket.AF_INET6
    return socket.inet_ntop(family, raw), hexadecimal(port)
