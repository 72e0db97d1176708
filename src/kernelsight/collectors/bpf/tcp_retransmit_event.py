"""Segments that TCP sent again, and whose sockets they are (bpf/tcp_retransmits.bpf.c)."""

from __future__ import annotations

from collections.abc import Callable, Iterable

from kernelsight.collectors.base import Host, collector
from kernelsight.collectors.bpf.columns import Columns, made
from kernelsight.collectors.bpf.holders import SocketHolders
from kernelsight.collectors.bpf.libbpf import Object
from kernelsight.collectors.bpf.objects import image
from kernelsight.collectors.bpf.place import plain_address
from kernelsight.collectors.text import fixed_name
from kernelsight.events.declare import Event
from kernelsight.events.tcp import TcpRetransmitEvent
from kernelsight.linux.sockets import STATES


def _interface(name: bytes) -> str | None:
    return fixed_name(name) or None


RETRANSMITS = Columns(
    TcpRetransmitEvent,
    "retransmit",
    stamp="sent_at",
    apart=("inode",),
    saddr=made(plain_address, "family", "local"),
    daddr=made(plain_address, "family", "remote"),
    state=made(STATES.get, "state"),
    interface_name=made(_interface, "interface"),
)


@collector(formerly="tcp_retransmits", source="bpf", emits=(TcpRetransmitEvent,))
class TcpRetransmits:
    """Segments that TCP sent again, in all network namespaces: with both addresses, the state and the process.

    At most 2,900 a second; the rest is counted as lost.
    """

    def __init__(self, host: Host) -> None:  # noqa: ARG002
        self._object = Object(image("tcp_retransmits"), "tcp_retransmits")
        try:
            self._object.attach("on_retransmit", "on_retransmit_synack")
            self._ring = self._object.ring("retransmits")
            self._fill = RETRANSMITS.of(self._object.types)
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
        records = self._ring.consume()
        inodes = self._fill.layouts[0].column("inode", b"".join(records))
        owners = self._holders.find({inode for inode in inodes if inode})
        events = self._fill(to_epoch, records)
        for inode, event in zip(inodes, events, strict=True):
            if owner := owners.get(inode):
                event.pid, event.comm = owner
        return events

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
