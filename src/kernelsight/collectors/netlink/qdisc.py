"""The queues in front of interfaces, through rtnetlink: what waits in them, and what did not fit."""

from __future__ import annotations

import socket
import struct
from collections.abc import Iterator, Mapping
from contextlib import suppress
from pathlib import Path

from kernelsight.collectors.base import Host, collector
from kernelsight.collectors.damage import parsing
from kernelsight.collectors.netlink.dump import Netlink
from kernelsight.collectors.netlink.messages import attributes, messages
from kernelsight.errors import SourceUnavailableError
from kernelsight.events.qdisc import Qdisc

# include/uapi/linux: netlink.h, rtnetlink.h, gen_stats.h, pkt_sched.h
_NETLINK_ROUTE = 0
_RTM_NEWQDISC, _RTM_GETQDISC = 36, 38
_PARENTS = {0xFFFFFFFF: "root", 0xFFFFFFF1: "ingress"}
_TCMSG = struct.Struct("=B3xiIII")  # family, interface, handle, parent, info
_KIND, _OPTIONS, _STATS2 = 1, 2, 7
_BASIC, _QUEUE, _PACKETS64 = 1, 3, 8
_QUEUE_STATS = struct.Struct("=5I")  # packets, bytes, drops, requeues, overlimits
_TBF_PARMS, _TBF_RATE64 = 1, 4
_RATE_AT = 8  # in struct tc_ratespec, the first of struct tc_tbf_qopt
_NO_QUEUE = "noqueue"


@collector(source="rtnetlink", emits=(Qdisc,))
class QdiscCollector:
    """What waits in front of every interface to be sent, and what was dropped there."""

    def __init__(self, host: Host) -> None:
        if host.proc != Path("/proc"):
            raise SourceUnavailableError(f"rtnetlink is of this machine, not of {host.proc}")
        # Ask now, because some containers forbid it.
        try:
            self._netlink = Netlink(_NETLINK_ROUTE, "rtnetlink")
            list(self._netlink.dump(_RTM_GETQDISC, _TCMSG.pack(socket.AF_UNSPEC, 0, 0, 0, 0)))
        except OSError as error:
            raise SourceUnavailableError(f"the kernel lists no queues of interfaces: {error.strerror}") from error
        self._names: dict[int, str] = {}

    def collect(self, now: int) -> list[Qdisc]:
        """Dump them once."""
        answers = self._netlink.dump(_RTM_GETQDISC, _TCMSG.pack(socket.AF_UNSPEC, 0, 0, 0, 0))
        qdiscs = [(index, event) for answer in answers for index, event in parse_qdiscs(answer, now)]
        if not {index for index, _ in qdiscs} <= self._names.keys():
            self._names = dict(socket.if_nameindex())
        for index, event in qdiscs:
            event.interface_name = self._names.get(index)
        return [event for _, event in qdiscs if event.interface_name is not None]

    def close(self) -> None:
        """Close the socket."""
        self._netlink.close()


def parse_qdiscs(answer: bytes, now: int) -> list[tuple[int, Qdisc]]:
    """Parse one answer to RTM_GETQDISC: those at the root of an interface, each with the interface's index.

    What belongs to a class of another is counted there already; where nothing can wait, there is none.

    Raises:
        SourceUnavailableError: it ends within a message.
    """
    with parsing("rtnetlink", answer):
        return list(_qdiscs(answer, now))


def _qdiscs(answer: bytes, now: int) -> Iterator[tuple[int, Qdisc]]:
    for kind, start, end in messages(answer):
        if kind == _RTM_NEWQDISC:
            _, index, _, parent, _ = _TCMSG.unpack_from(answer, start)
            known = _attributes(answer[start + _TCMSG.size : end])
            discipline = known.get(_KIND, b"").rstrip(b"\0").decode(errors="replace")
            if parent in _PARENTS and discipline != _NO_QUEUE:
                yield index, _event(now, _PARENTS[parent], discipline, known)


def _event(now: int, parent: str, discipline: str, known: Mapping[int, bytes]) -> Qdisc:
    stats = _attributes(known.get(_STATS2, b""))
    event = Qdisc(now, parent=parent, discipline=discipline)
    if basic := stats.get(_BASIC):
        event.sent_bytes, event.sent_packets = struct.unpack_from("=QI", basic)
    if packets := stats.get(_PACKETS64):
        (event.sent_packets,) = struct.unpack_from("=Q", packets)
    if queue := stats.get(_QUEUE):
        waiting, size, event.drops, event.requeues, event.overlimits = _QUEUE_STATS.unpack_from(queue)
        event.backlog_packets, event.backlog_bytes = waiting, size
    if discipline == "tbf":
        event.rate_limit_bytes = _tbf_rate(_attributes(known.get(_OPTIONS, b"")))
    return event


def _tbf_rate(options: Mapping[int, bytes]) -> int | None:
    """What a token bucket lets through, in bytes a second; more than 32 bits have an attribute of their own."""
    for attribute, form, at in ((_TBF_RATE64, "=Q", 0), (_TBF_PARMS, "=I", _RATE_AT)):
        with suppress(struct.error):
            return int(struct.unpack_from(form, options.get(attribute, b""), at)[0])
    return None


def _attributes(raw: bytes) -> dict[int, bytes]:
    """A run of attributes by kind."""
    return {kind: raw[start:end] for kind, start, end in attributes(raw, 0, len(raw))}
