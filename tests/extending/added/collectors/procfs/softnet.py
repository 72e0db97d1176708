"""What each CPU does with packets that arrive, from /proc/net/softnet_stat."""

from __future__ import annotations

from kernelsight.events.softnet import Softnet

from kernelsight.collectors.base import Host, collector
from kernelsight.collectors.damage import parsing, rows
from kernelsight.collectors.files import KernelFile
from kernelsight.collectors.text import lines, uncut
from kernelsight.linux.sockets import hexadecimal

_CPU = 12
"""Column of the CPU's number, since Linux 5.10: CPUs that are offline have no line."""


@collector(source="procfs", emits=(Softnet,))
class SoftnetCollector:
    """Packets that each CPU took from devices."""

    def __init__(self, host: Host) -> None:
        self._file = KernelFile(host.proc / "net/softnet_stat", records=True)

    def collect(self, now: int) -> list[Softnet]:
        """Read it once."""
        return parse_softnet(self._file.read(), now)

    def close(self) -> None:
        """Close the file."""
        self._file.close()


def parse_softnet(text: bytes, now: int) -> list[Softnet]:
    """Parse a line of hexadecimal numbers for each CPU.

    Raises:
        SourceUnavailableError: it has none.
    """

    def parse(line: bytes) -> Softnet:
        columns = [hexadecimal(column) for column in uncut(line).split()]
        return Softnet(now, cpu=columns[_CPU], processed=columns[0], dropped=columns[1], time_squeeze=columns[2])

    with parsing("/proc/net/softnet_stat", text):
        return list(rows(parse, lines(text)))
