"""Asking the kernel for all of something through a netlink socket (include/uapi/linux/netlink.h)."""

from __future__ import annotations

import os
import socket
from collections.abc import Iterator

from kernelsight.collectors.netlink.messages import DONE, DUMP, HEADER, REQUEST, framed, refused

_DONE_SIZE = HEADER.size + 4
_ANSWER_SIZE = 32768
_TIMEOUT_S = 5


class Netlink:
    """A socket of one netlink protocol, to which requests are sent one after the other.

    Args:
        protocol: its number.
        name: what errors call it.

    Raises:
        OSError: the kernel does not have the protocol, or may not be asked.
    """

    def __init__(self, protocol: int, name: str) -> None:
        self._socket = socket.socket(socket.AF_NETLINK, socket.SOCK_RAW | socket.SOCK_CLOEXEC, protocol)
        self._socket.settimeout(_TIMEOUT_S)
        self._sequence = 0
        self._name = name

    def dump(self, kind: int, body: bytes) -> Iterator[bytes]:
        """Ask for everything of a kind; yield the answers, each of any number of messages.

        Raises:
            OSError: the kernel refuses, or does not answer.
        """
        self._sequence += 1
        self._socket.send(request(kind, body, self._sequence))
        while True:
            answer = self._socket.recv(_ANSWER_SIZE)
            _, _, _, sequence, _ = HEADER.unpack_from(answer)
            if sequence != self._sequence:
                continue  # the rest of a dump that failed half-way
            if number := refused(answer):
                raise OSError(number, f"{self._name}: {os.strerror(number)}")
            yield answer
            if _is_last(answer, sequence):
                return

    def close(self) -> None:
        """Close the socket."""
        self._socket.close()


def request(kind: int, body: bytes, sequence: int) -> bytes:
    """A request to dump all of a kind."""
    return framed(kind, REQUEST | DUMP, sequence, body)


def _is_last(answer: bytes, sequence: int) -> bool:
    """Whether an answer ends with the message that ends a dump, alone or (since Linux 6.9) behind others."""
    if len(answer) < _DONE_SIZE:
        return False
    length, kind, _, of, _ = HEADER.unpack_from(answer, len(answer) - _DONE_SIZE)
    return (length, kind, of) == (_DONE_SIZE, DONE, sequence)
