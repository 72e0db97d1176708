"""Segments that TCP sent again, and whose sockets they are (bpf/tcp_retransmits.bpf.c)."""

from __future__ import annotations

import socket
import time
from collections.abc import Callable, Collection, Iterable, Mapping
from struct import Struct
from typing import NamedTuple

from kernelsight.collectors.base import Host, collector
from kernelsight.collectors.bpf.libbpf import Object
from kernelsight.collectors.bpf.objects import image
from kernelsight.collectors.clock import NS_PER_S
from kernelsight.collectors.sockets import STATES
from kernelsight.collectors.text import fixed_name
from kernelsight.events.declare import Event
from kernelsight.events.network import TcpRetransmitEvent

_RETRANSMIT = Struct("<QQ16s16sIIHHH2x16s")  # struct retransmit
_INODE = Struct("<Q")
_OWNER = Struct("<I16s")  # struct owner
_MAPPED = bytes(10) + b"\xff\xff"
_REMEMBER_NS = 10 * NS_PER_S
_REST = 100
"""Pause after a walk over all open files, in times of what it took: at most 1 % of a core."""


class Retransmit(NamedTuple):
    """One record of the ring buffer."""

    sent_at: int
    inode: int
    local: bytes
    remote: bytes
    segments: int
    state: int
    family: int
    local_port: int
    remote_port: int
    interface: bytes


class Owner(NamedTuple):
    """A process that has a socket."""

    pid: int
    comm: str


def address(family: int, raw: bytes) -> str:
    """An address as text; that of an IPv4 peer of an IPv6 socket as what it is."""
    if family == socket.AF_INET6 and not raw.startswith(_MAPPED):
        return socket.inet_ntop(socket.AF_INET6, raw)
    return socket.inet_ntop(socket.AF_INET, raw[12:] if family == socket.AF_INET6 else raw[:4])


def event_of(record: Retransmit, owner: Owner | None, to_epoch: Callable[[int], int]) -> TcpRetransmitEvent:
    """A record as an event."""
    return TcpRetransmitEvent(
        timestamp=to_epoch(record.sent_at),
        saddr=address(record.family, record.local),
        sport=record.local_port,
        daddr=address(record.family, record.remote),
        dport=record.remote_port,
        state=STATES.get(record.state),
        comm=owner.comm if owner else None,
        pid=owner.pid if owner else None,
        segments=record.segments,
        interface_name=fixed_name(record.interface) or None,
    )


class Owners:
    """Who has a socket, by its inode: looked for among all open files, which takes 0.3 us each.

    One answer serves for ten seconds, also that there is none. Of several processes the one that is
    first in the kernel's list is named.
    """

    def __init__(self, loaded: Object) -> None:
        self._object = loaded
        self._asked = loaded.map("owners")
        self._known: dict[int, Owner | None] = {}
        self._known_until = 0
        self._rest_until = 0

    def of(self, inodes: Collection[int]) -> Mapping[int, Owner | None]:
        """The owners of these sockets; one that is missing is not known."""
        began = time.monotonic_ns()
        if began >= self._known_until:
            self._known.clear()
            self._known_until = began + _REMEMBER_NS
        unknown = [inode for inode in inodes if inode and inode not in self._known][: self._asked.max_entries]
        if unknown and began >= self._rest_until:
            self._known |= self._look_for(unknown)
            ended = time.monotonic_ns()
            self._rest_until = ended + _REST * (ended - began)
        return self._known

    def _look_for(self, inodes: Iterable[int]) -> dict[int, Owner | None]:
        for inode in inodes:
            self._asked.update(_INODE.pack(inode), bytes(_OWNER.size))
        self._object.iterate("find_owners")
        keys, values = self._asked.drain()
        return {
            inode: Owner(pid, fixed_name(comm)) if pid else None
            for (inode,), (pid, comm) in zip(_INODE.iter_unpack(keys), _OWNER.iter_unpack(values), strict=True)
        }


@collector("tcp_retransmits", source="bpf", emits=(TcpRetransmitEvent,))
class TcpRetransmits:
    """Segments that TCP sent again, in all network namespaces: between whom, in which state, whose.

    At most 2,900 a second; the rest is counted as lost.
    """

    def __init__(self, host: Host) -> None:  # noqa: ARG002
        self._object = Object(image("tcp_retransmits"), "tcp_retransmits")
        try:
            self._object.attach("on_retransmit", "on_retransmit_synack")
        except BaseException:
            self.close()
            raise
        self._ring = self._object.ring("retransmits")
        self._lost = self._object.variable("retransmits_lost")
        self._owners = Owners(self._object)

    def fileno(self) -> int:
        """Never readable: a second's records are taken together, before the grid point."""
        return self._ring.epoll_fd

    def drain(self, to_epoch: Callable[[int], int]) -> Iterable[Event]:
        """What was sent again since the last time."""
        records = [Retransmit._make(_RETRANSMIT.unpack(record)) for record in self._ring.consume()]
        owners = self._owners.of({record.inode for record in records})
        return [event_of(record, owners.get(record.inode), to_epoch) for record in records]

    def collect(self, now: int) -> Iterable[Event]:  # noqa: ARG002
        """Nothing: they come by themselves."""
        return ()

    @property
    def lost(self) -> int:
        """Retransmissions that found the ring buffer full."""
        return self._lost.value

    def close(self) -> None:
        """Detach the programs."""
        self._object.close()
