"""UDP sockets that do not keep up, from /proc/net/udp and udp6."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from contextlib import suppress

from kernelsight.collectors.base import Host, collector
from kernelsight.collectors.damage import bounded, parsing, rows
from kernelsight.collectors.files import KernelFile
from kernelsight.collectors.text import integer, lines, uncut
from kernelsight.collectors.udp import Receiver, UdpEvents
from kernelsight.errors import SourceUnavailableError
from kernelsight.events.udp_socket import UdpSocket
from kernelsight.linux.sockets import address, hexadecimal


@collector(formerly="udp", source="procfs", emits=(UdpSocket,))
class UdpFromProc:
    """UDP sockets that drop or have something to read (without their owner and the queue's limit)."""

    def __init__(self, host: Host) -> None:
        self._files = [KernelFile(host.proc / "net/udp", records=True, size=16384)]
        with suppress(SourceUnavailableError):  # no IPv6 here
            self._files.append(KernelFile(host.proc / "net/udp6", records=True, size=16384))
        self._events = UdpEvents(host.monotonic_ns)

    def collect(self, now: int) -> Iterable[UdpSocket]:
        """Read both once."""
        receivers: list[Receiver] = []
        for file in self._files:
            with bounded(str(file.path)):
                receivers += parse_proc_udp(file.read())
        return self._events.choose(now, receivers)

    def close(self) -> None:
        """Close the files."""
        for file in self._files:
            file.close()


def parse_proc_udp(text: bytes) -> Sequence[Receiver]:
    """Parse the table.

    Raises:
        SourceUnavailableError: it is not /proc/net/udp or udp6.
    """
    with parsing("/proc/net/udp", text):
        header, *sockets = lines(text)
        if header.split()[-1:] != [b"drops"]:
            raise ValueError("its first line is not the header")
        return list(rows(_receiver, sockets))


def _receiver(line: bytes) -> Receiver:
    fields = uncut(line).split()
    queue = hexadecimal(fields[4].partition(b":")[2])
    return Receiver(*address(fields[1]), integer(fields[9]), queue, integer(fields[12]), None)
