"""How netlink packs what it says: messages behind each other, and attributes in them (include/uapi/linux/netlink.h)."""

from __future__ import annotations

import struct
from collections.abc import Iterator

HEADER = struct.Struct("=IHHII")
"""struct nlmsghdr: length, kind, flags, sequence number, port."""
ATTRIBUTE = struct.Struct("=HH")
"""struct nlattr: length, kind."""
_ERRNO = struct.Struct("=i")  # what struct nlmsgerr begins with
ERROR, DONE = 2, 3
REQUEST, DUMP = 0x1, 0x300  # NLM_F_REQUEST, NLM_F_DUMP
_LENGTH_AND_KIND = struct.Struct("=IH").unpack_from
_KIND_MASK = 0x3FFF  # without NLA_F_NESTED and NLA_F_NET_BYTEORDER


def framed(kind: int, flags: int, sequence: int, body: bytes) -> bytes:
    """A message to the kernel."""
    return HEADER.pack(HEADER.size + len(body), kind, flags, sequence, 0) + body


def refused(answer: bytes) -> int:
    """The error number that an answer begins with; 0: it is no error."""
    return -int(_ERRNO.unpack_from(answer, HEADER.size)[0]) if HEADER.unpack_from(answer)[1] == ERROR else 0


def messages(answer: bytes) -> Iterator[tuple[int, int, int]]:
    """Kind, start and end of the content of each message.

    Raises:
        ValueError: the answer ends within a message.
    """
    at, end = 0, len(answer)
    while at < end:
        if end - at < HEADER.size:
            raise ValueError("it ends within a header")
        length, kind = _LENGTH_AND_KIND(answer, at)
        if length < HEADER.size or at + length > end:
            raise ValueError("it ends within a message")
        yield kind, at + HEADER.size, at + length
        at += (length + 3) & ~3


def attributes(message: bytes, start: int, end: int) -> Iterator[tuple[int, int, int]]:
    """Kind, start and end of the content of each attribute in a part of a message.

    Raises:
        ValueError: the part ends within an attribute.
    """
    while start + ATTRIBUTE.size <= end:
        length, kind = ATTRIBUTE.unpack_from(message, start)
        if length < ATTRIBUTE.size or start + length > end:
            raise ValueError("it ends within an attribute")
        yield kind & _KIND_MASK, start + ATTRIBUTE.size, start + length
        start += (length + 3) & ~3
