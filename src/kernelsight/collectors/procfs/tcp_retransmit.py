"""What TCP sent again and gave up, from /proc/net/snmp and /proc/net/netstat (net/ipv4/proc.c)."""

from __future__ import annotations

from collections.abc import Mapping
from contextlib import nullcontext

from kernelsight.collectors.base import Host, collector
from kernelsight.collectors.damage import bounded, parsing
from kernelsight.collectors.files import KernelFile
from kernelsight.collectors.text import CutLine, lines, number
from kernelsight.errors import SourceUnavailableError
from kernelsight.events.tcp import TcpRetransmit

_TCP = {
    "retrans_segs": b"RetransSegs",
    "out_segs": b"OutSegs",
    "in_segs": b"InSegs",
    "in_errs": b"InErrs",
    "out_rsts": b"OutRsts",
    "active_opens": b"ActiveOpens",
    "passive_opens": b"PassiveOpens",
    "attempt_fails": b"AttemptFails",
    "estab_resets": b"EstabResets",
}
_TCP_EXTENDED = {
    "listen_overflows": b"ListenOverflows",
    "listen_drops": b"ListenDrops",
    "timeouts": b"TCPTimeouts",
    "syn_retrans": b"TCPSynRetrans",
    "fast_retrans": b"TCPFastRetrans",
    "lost_retransmits": b"TCPLostRetransmit",
    "backlog_drops": b"TCPBacklogDrop",
    "rcv_queue_drops": b"TCPRcvQDrop",
    "prune_called": b"PruneCalled",
    "abort_on_memory": b"TCPAbortOnMemory",
    "tw_sockets": b"TW",
}


@collector(source="procfs", emits=(TcpRetransmit,))
class TcpRetransmitCollector:
    """Segments sent, sent again, lost and refused since boot."""

    def __init__(self, host: Host) -> None:
        self._snmp = KernelFile(host.proc / "net/snmp")
        try:
            self._netstat: KernelFile | None = KernelFile(host.proc / "net/netstat", size=16384)
        except SourceUnavailableError:
            self._netstat = None

    def collect(self, now: int) -> list[TcpRetransmit]:
        """Read both once."""
        netstat = self._netstat.read() if self._netstat else None
        return [parse_tcp_counters(self._snmp.read(), netstat, now)]

    def close(self) -> None:
        """Close the files."""
        self._snmp.close()
        if self._netstat:
            self._netstat.close()


def parse_tcp_counters(snmp: bytes, netstat: bytes | None, now: int) -> TcpRetransmit:
    """Parse the pairs of lines, names and values, that begin with ``Tcp:`` and ``TcpExt:``.

    Args:
        snmp: /proc/net/snmp.
        netstat: /proc/net/netstat, where there is one.
        now: the stamp.

    Raises:
        SourceUnavailableError: neither of them is that.
    """
    columns: dict[str, int | None] = {}
    with bounded("/proc/net/netstat"), parsing("/proc/net/netstat", netstat or b""):
        columns |= {} if netstat is None else _columns(_TCP_EXTENDED, _group(netstat, b"TcpExt:"))
    with bounded("/proc/net/snmp") if columns else nullcontext(), parsing("/proc/net/snmp", snmp):
        columns |= _columns(_TCP, _group(snmp, b"Tcp:"))
    return TcpRetransmit(now, **columns)


def _group(text: bytes, label: bytes) -> Mapping[bytes, bytes]:
    names, values, *_ = [line for line in lines(text) if line.startswith(label)]
    if isinstance(names, CutLine):
        raise ValueError("its names are cut")  # noqa: TRY004 - of the text
    return dict(zip(names.split(), values.split(), strict=not isinstance(values, CutLine)))


def _columns(names: Mapping[str, bytes], values: Mapping[bytes, bytes]) -> dict[str, int | None]:
    return {column: number(values.get(key)) for column, key in names.items()}
