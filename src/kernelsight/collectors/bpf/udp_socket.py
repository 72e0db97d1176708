"""UDP sockets that do not keep up, from the kernel's own list (iter/udp), and whose they are."""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path

import msgspec

from kernelsight.collectors.base import Host, collector
from kernelsight.collectors.bpf import objects
from kernelsight.collectors.bpf.holders import SocketHolders
from kernelsight.collectors.bpf.layout import Records
from kernelsight.collectors.bpf.libbpf import Object
from kernelsight.collectors.bpf.place import address
from kernelsight.collectors.udp import Receiver, UdpEvents
from kernelsight.errors import SourceUnavailableError
from kernelsight.events.udp_socket import UdpSocket


class _Socket(msgspec.Struct, gc=False):
    """A socket that receives (struct record of udp.bpf.c)."""

    at_inode: int
    at_family: int
    at_port: int
    at_address: bytes
    receive_queue: int
    receive_buffer: int
    drops: int


@collector(formerly="udp", source="bpf", emits=(UdpSocket,), rank=10)
class UdpFromIterator:
    """UDP sockets that drop or have something to read, with the process that should read it."""

    def __init__(self, host: Host) -> None:
        if host.proc != Path("/proc"):
            raise SourceUnavailableError(f"the kernel's sockets are of this machine, not of {host.proc}")
        self._events = UdpEvents(host.monotonic_ns)
        self._object = Object(objects.image("udp"), "udp")
        try:
            self._records = Records(self._object.types.layout("record"), _Socket)
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
            Receiver(
                address(row.at_family, row.at_address),
                row.at_port,
                row.at_inode,
                row.receive_queue,
                row.drops,
                row.receive_buffer,
            )
            for row in self._records.each(self._object.iterate("udp"))
        ]
