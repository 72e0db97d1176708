"""Segments that TCP sent again, and whose sockets they are (bpf/tcp_retransmits.bpf.c)."""

from __future__ import annotations

import socket
from collections.abc import Callable, Iterable
from struct import Struct
from typing import NamedTuple

from kernelsight.collectors.base import Host, collector
from kernelsight.collectors.bpf.holders import Holder, SocketHolders
from kernelsight.collectors.bpf.libbpf import Object
from kernelsight.collectors.bpf.objects import image
from kernelsight.collectors.text import fixed_name
from kernelsight.events.declare import Event
from kernelsight.events.network import TcpRetransmitEvent
from kernelsight.linux.sockets import STATES

_RETRANSMIT = Struct("<QQ16s16sIIHHH2x16s")  # struct retransmit
_MAPPED = bytes(10) + b"\xff\xff"


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


def address(family: int, raw: bytes) -> str:
    """An address as text; that of an IPv4 peer of an IPv6 socket as what it is."""
    if family == socket.AF_INET6 and not raw.startswith(_MAPPED):
        return socket.inet_ntop(socket.AF_INET6, raw)
    return socket.inet_ntop(socket.AF_INET, raw[12:] if family == socket.AF_INET6 else raw[:4])


def event_of(record: Retransmit, owner: Holder | None, to_epoch: Callable[[int], int]) -> TcpRetransmitEvent:
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


@collector("tcp_retransmits", source="bpf", emits=(TcpRetransmitEvent,))
class TcpRetransmits:
    """Segments that TCP sent again, in all network namespaces: between whom, in which state, whose.

    At most 2,900 a second; the rest is counted as lost.
    """

    def __init__(self, host: Host) -> None:  # noqa: ARG002
        self._object = Object(image("tcp_retransmits"), "tcp_retransmits")
        try:
            self._object.attach("on_retransmit", "on_retransmit_synack")
            self._ring = self._object.ring("retransmits")
            self._lost = self._object.variable("retransmits_lost")
            self._holders = SocketHolders()
        except BaseException:
            self._object.close()
            raise

    def fileno(self) -> int:
        """Never readable: a second's records are taken together, before the grid point."""
        return self._ring.epoll_fd

    def drain(self, to_epoch: Callable[[int], int]) -> Iterable[Event]:
        """What was sent again since the last time."""
        records = [Retransmit._make(_RETRANSMIT.unpack(record)) for record in self._ring.consume()]
        owners = self._holders.find({record.inode for record in records if record.inode})
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
        self._holders.close()
