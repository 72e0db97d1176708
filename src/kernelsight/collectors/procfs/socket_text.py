"""What the tables of sockets in /proc/net have in common."""

from __future__ import annotations

import socket
import sys

from kernelsight.collectors.text import hexadecimal

_V4_BYTES = 4


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
