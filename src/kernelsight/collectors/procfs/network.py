"""Traffic of network interfaces, from /proc/net/dev and /sys/class/net (Documentation/networking/statistics.rst)."""

from __future__ import annotations

from functools import partial

from kernelsight.collectors.base import Host, collector
from kernelsight.collectors.damage import parsing, rows
from kernelsight.collectors.files import KernelFile, read_once
from kernelsight.collectors.text import CutLine, lines, name, number, numbers
from kernelsight.events.network import Network

_COLUMNS = 16
_SPEED_EVERY_NS = 60_000_000_000
_UNKNOWN_SPEED = 2**32 - 1


@collector(source="procfs", emits=(Network,))
class NetworkCollector:
    """Bytes, packets, errors and drops of every interface."""

    def __init__(self, host: Host) -> None:
        self._file = KernelFile(host.proc / "net/dev", records=True, size=8192)
        self._sys = host.sys / "class/net"
        self._speeds: dict[str, int | None] = {}
        self._monotonic_ns = host.monotonic_ns
        self._speeds_due = 0

    def collect(self, now: int) -> list[Network]:
        """Read it once."""
        events = parse_net_dev(self._file.read(), now)
        # Reading a speed asks the driver, under a lock that all of networking shares.
        moment = self._monotonic_ns()
        if moment >= self._speeds_due:
            self._speeds.clear()
            self._speeds_due = moment + _SPEED_EVERY_NS
        for event in events:
            interface = event.interface_name or ""
            if interface not in self._speeds:
                self._speeds[interface] = parse_speed(read_once(self._sys / interface / "speed"))
            event.speed_mbps = self._speeds[interface]
        return events

    def close(self) -> None:
        """Close the file."""
        self._file.close()


def parse_net_dev(text: bytes, now: int) -> list[Network]:
    """Parse /proc/net/dev: two lines of header, then ``NAME: 8 numbers received, 8 numbers sent``.

    Raises:
        SourceUnavailableError: it is not that.
    """
    with parsing("/proc/net/dev", text):
        text_lines = lines(text)
        events = list(rows(partial(_interface, now), [line for line in text_lines if line and b"|" not in line]))
        if not events and not text_lines[0].startswith(b"Inter-|"):
            raise ValueError("its first line is not the header")
        return events


def _interface(now: int, line: bytes) -> Network:
    interface, colon, rest = line.rpartition(b":")
    tokens = rest.split()
    whole = not isinstance(line, CutLine)
    if not colon or len(interface.split()) != 1 or (whole and len(tokens) < _COLUMNS):
        raise ValueError(f"{len(tokens)} columns")
    if len(tokens) > _COLUMNS and not all(map(bytes.isdigit, tokens)):
        raise ValueError("a word too many")
    values = numbers(tokens)
    if len(values) < _COLUMNS:
        values += [None] * _COLUMNS
    return Network(
        now,
        name(interface.strip()),
        rx_bytes=values[0],
        rx_packets=values[1],
        rx_errors=values[2],
        rx_drops=values[3],
        rx_fifo=values[4],
        rx_frame=values[5],
        rx_multicast=values[7],
        tx_bytes=values[8],
        tx_packets=values[9],
        tx_errors=values[10],
        tx_drops=values[11],
        tx_fifo=values[12],
        tx_collisions=values[13],
        tx_carrier=values[14],
    )


def parse_speed(text: bytes | None) -> int | None:
    """Parse ``/sys/class/net/NAME/speed``: Mbit/s, or None where the link is down or the driver knows none."""
    try:
        speed = number(text.strip(), signed=True) if text is not None else None
    except ValueError:
        return None
    return speed if speed is not None and 0 < speed < _UNKNOWN_SPEED else None
