"""Totals of sockets, from /proc/net/sockstat and sockstat6: what does not need a look at each of them."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from kernelsight.collectors.base import Host
from kernelsight.collectors.damage import bounded, note, parsing
from kernelsight.collectors.files import KernelFile
from kernelsight.collectors.text import lines, number
from kernelsight.errors import SourceUnavailableError


@dataclass(frozen=True, slots=True)
class TcpTotals:
    """TCP sockets of this network namespace, IPv4 and IPv6 together; `allocated` and `memory_pages` of the machine."""

    in_use: int | None
    """Bound to a port and not in TIME_WAIT; requests for connections are not sockets yet."""
    orphan: int | None
    time_wait: int | None
    allocated: int | None
    memory_pages: int | None


class SockstatFiles:
    """Both files, kept open; there is no sockstat6 without IPv6."""

    def __init__(self, host: Host) -> None:
        self._v4 = KernelFile(host.proc / "net/sockstat")
        try:
            self._v6: KernelFile | None = KernelFile(host.proc / "net/sockstat6")
        except SourceUnavailableError:
            self._v6 = None

    def read(self) -> TcpTotals:
        """Read both once; what cannot be read is not known."""
        with bounded("/proc/net/sockstat"):
            return parse_sockstat(self._v4.read(), self._v6.read() if self._v6 else None)
        return TcpTotals(None, None, None, None, None)

    def close(self) -> None:
        """Close them."""
        self._v4.close()
        if self._v6:
            self._v6.close()


def parse_sockstat(text: bytes, text6: bytes | None) -> TcpTotals:
    """Parse the lines ``TCP: inuse 2 orphan 0 tw 0 alloc 2 mem 153`` and ``TCP6: inuse 0``.

    Raises:
        SourceUnavailableError: it is not sockstat.
    """
    with parsing("/proc/net/sockstat", text):
        values = _line(text, b"TCP:")
        in_use = number(values.get(b"inuse"))
        totals = [number(values.get(key)) for key in (b"orphan", b"tw", b"alloc", b"mem")]
    if text6 is not None and in_use is not None:
        with parsing("/proc/net/sockstat6", text6):
            in_use6 = number(_line(text6, b"TCP6:").get(b"inuse"))
            in_use = None if in_use6 is None else in_use + in_use6
    return TcpTotals(in_use, *totals)


def _line(text: bytes, label: bytes) -> Mapping[bytes, bytes]:
    for line in lines(text):
        if line.startswith(label):
            fields = line.split()
            if not len(fields) % 2:
                note("a name without its value, or a value without its name", line)
            return {key: value for key, value in zip(fields[1::2], fields[2::2], strict=False) if key.isalpha()}
    raise KeyError(f"no {label.decode()}")
