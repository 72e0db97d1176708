"""UDP sockets that do not keep up, from the kernel's own list (iter/udp), and whose they are."""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path
from struct import Struct

from kernelsight.collectors.base import Host, collector
from kernelsight.collectors.bpf import objects
from kernelsight.collectors.bpf.holders import SocketHolders
from kernelsight.collectors.bpf.libbpf import Object
from kernelsight.collectors.bpf.place import PLACE, address
from kernelsight.collectors.udp import Receiver, UdpEvents
from kernelsight.errors import SourceUnavailableError
from kernelsight.events.network import UdpSocket

_RECORD = Struct(f"={PLACE}3I4x")  # struct record of udp.bpf.c


@collector("udp", source="bpf", emits=(UdpSocket,), rank=10)
class UdpFromIterator:
    """UDP sockets that drop or have something to read, with the process that should read it."""

    def __init__(self, host: Host) -> None:
        if host.proc != Path("/proc"):
            raise SourceUnavailableError(f"the kernel's sockets are of this machine, not of {host.proc}")
        self._events = UdpEvents(host.monotonic_ns)
        self._object = Object(objects.image("udp"), "udp")
        try:
            self._object.iterate("udp")
            self._holders = SocketHolders()
        except BaseException:
            self._object.close()
            raise
        self._everything = self._object.variable("everything")

    def collect(self, now: int) -> Iterable[UdpSocket]:
        """Go through the sockets: those that have something to read or ever dropped; all, when one has caught up."""
        sockets = self._read(everything=False)
        if self._events.lacks(sockets):
            sockets = self._read(everything=True)
        rows = self._events.choose(now, sockets)
        holders = self._holders.find([row.inode for row in rows if row.inode])
        for row in rows:
            if holder := holders.get(row.inode or 0):
                row.pid, row.comm = holder
        return rows

    def close(self) -> None:
        """Remove the programs from the kernel."""
        self._object.close()
        self._holders.close()

    def _read(self, *, everything: bool) -> list[Receiver]:
        self._everything.value = everything
        return [
            Receiver(address(family, raw), port, inode, receive_queue, drops, receive_buffer)
            for inode, family, port, raw, receive_queue, receive_buffer, drops in _RECORD.iter_unpack(
                self._object.iterate("udp")
            )
        ]
