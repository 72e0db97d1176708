"""Delay accounting of processes over generic netlink (Documentation/accounting/taskstats.rst).

One request a process (`TASKSTATS_CMD_GET` by thread group), many requests in one send: the kernel
answers each with one message before the send returns. Needs CAP_NET_ADMIN, in the machine's own
user and pid namespaces.
"""

from __future__ import annotations

import os
import socket
import struct
from collections.abc import Sequence
from contextlib import suppress
from functools import cache
from typing import NamedTuple

from kernelsight.collectors.netlink.messages import ATTRIBUTE, ERROR, HEADER, REQUEST, attributes, framed, refused
from kernelsight.errors import SourceUnavailableError

_NETLINK_GENERIC = 16
_CONTROLLER, _GET_FAMILY, _ATTR_FAMILY_ID, _ATTR_FAMILY_NAME = 16, 3, 1, 2
_TASKSTATS_GET, _ATTR_TGID, _TYPE_STATS, _TYPE_AGGR_TGID = 1, 2, 3, 5

_GENERIC = struct.Struct("=BBH")
_ASK = struct.Struct(f"{HEADER.format}{_GENERIC.format[1:]}{ATTRIBUTE.format[1:]}I")  # packed in one step
_PAYLOAD = HEADER.size + _GENERIC.size

_AT_ONCE = 64
"""Answers that surely fit into a socket's receive buffer (about 1.3 kB each of 208 kB)."""


class Delays(NamedTuple):
    """What a process, all its threads together, had to wait for since it started.

    The delays of threads that have ended are included, their switches are not. Delays other than
    ``cpu_delay_ns`` stay 0 while `kernel.task_delayacct` is off, and for tasks forked while it was.
    """

    runs: int
    """Times that one of its threads was given a CPU."""
    cpu_delay_ns: int
    blkio_delay_ns: int
    swapin_delay_ns: int
    ran_ns: int
    """Time on a CPU, as of the last tick or switch: a thread that is never switched out has no new run."""
    voluntary_switches: int
    involuntary_switches: int
    reclaim_delay_ns: int | None
    thrashing_delay_ns: int | None


_OFFSETS = (16, 24, 40, 56, 72, 272, 280, 320, 336)
"""Where `struct taskstats` has the fields of :class:`Delays`, in their order."""

_OFFSETS_V15 = (16, 24, 56, 88, 120, 320, 328, 368, 400)
"""Linux 6.14 and 6.15 put a maximum and a minimum behind each delay (658eb5ab916d); 6.16 moved them to the end."""

_REQUIRED = 7


class TaskstatsClient:
    """Asks the kernel for the delays of processes.

    Raises:
        SourceUnavailableError: no taskstats in this kernel, no privilege, or not in its own namespaces.
    """

    def __init__(self) -> None:
        try:
            self._socket = socket.socket(socket.AF_NETLINK, socket.SOCK_RAW | socket.SOCK_CLOEXEC, _NETLINK_GENERIC)
        except OSError as error:
            raise SourceUnavailableError(f"no generic netlink: {error.strerror}") from error
        try:
            self._socket.bind((0, 0))
            # Answers are queued before a send returns: nothing to wait for.
            self._socket.setblocking(False)
            self._family = self._find_family()
            self._ask_about_self()
        except OSError as error:
            self.close()
            raise SourceUnavailableError(
                f"taskstats: {error.strerror}; delays need root, or CAP_NET_ADMIN, outside of containers"
            ) from error
        except SourceUnavailableError:
            self.close()
            raise

    def ask(self, tgids: Sequence[int]) -> dict[int, Delays]:
        """The delays of processes; those that have ended are left out."""
        answers: dict[int, Delays] = {}
        for start in range(0, len(tgids), _AT_ONCE):
            chunk = tgids[start : start + _AT_ONCE]
            self._socket.send(b"".join([self._question(tgid) for tgid in chunk]))
            for _ in chunk:
                try:
                    message = self._socket.recv(8192)
                except BlockingIOError:
                    break
                tgid, delays = parse_answer(message)
                if delays is not None:
                    answers[tgid] = delays
        return answers

    def close(self) -> None:
        """Close the socket; calling it again does nothing."""
        self._socket.close()

    def _question(self, tgid: int) -> bytes:
        # The sequence number comes back with every answer, errors included: it says whose it is.
        head = (_ASK.size, self._family, REQUEST, tgid, 0)
        return _ASK.pack(*head, _TASKSTATS_GET, 1, 0, 8, _ATTR_TGID, tgid)

    def _find_family(self) -> int:
        name = b"TASKSTATS\0\0\0"
        attribute = ATTRIBUTE.pack(ATTRIBUTE.size + 10, _ATTR_FAMILY_NAME) + name
        payload = _GENERIC.pack(_GET_FAMILY, 1, 0) + attribute
        self._socket.send(framed(_CONTROLLER, REQUEST, 1, payload))
        message = self._socket.recv(8192)
        _raise_error(message)
        for kind, start, end in attributes(message, _PAYLOAD, len(message)):
            if kind == _ATTR_FAMILY_ID:
                return int.from_bytes(message[start:end], "little")
        raise SourceUnavailableError("this kernel has no taskstats (CONFIG_TASKSTATS)")

    def _ask_about_self(self) -> None:
        self._socket.send(self._question(os.getpid()))
        _raise_error(self._socket.recv(8192))


def parse_answer(message: bytes) -> tuple[int, Delays | None]:
    """Whose answer it is (the sequence number of the question), and what it says; None: it is an error.

    The length that the kernel gives tells which fields its version has.
    """
    _, kind, _, tgid, _ = HEADER.unpack_from(message)
    if kind == ERROR:
        return tgid, None
    with suppress(ValueError):  # it ends too early
        for outer, start, end in attributes(message, _PAYLOAD, len(message)):
            if outer != _TYPE_AGGR_TGID:
                continue
            for inner, first, last in attributes(message, start, end):
                if inner == _TYPE_STATS and last - first >= _OFFSETS[_REQUIRED]:
                    version = message[first] | message[first + 1] << 8
                    fields, absent = _layout(version, last - first)
                    return tgid, Delays(*fields.unpack_from(message, first), *absent)
    return tgid, None


@cache
def _layout(version: int, length: int) -> tuple[struct.Struct, tuple[None, ...]]:
    """How to unpack this version, and a None for each field that it does not have yet."""
    offsets = [at for at in (_OFFSETS_V15 if version == 15 else _OFFSETS) if at + 8 <= length]
    pads = [at - before for at, before in zip(offsets, [0, *(at + 8 for at in offsets)], strict=False)]
    return struct.Struct("=" + "".join(f"{pad}xQ" for pad in pads)), (None,) * (len(_OFFSETS) - len(offsets))


def _raise_error(message: bytes) -> None:
    if number := refused(message):
        raise OSError(number, os.strerror(number))
