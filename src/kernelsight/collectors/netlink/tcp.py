"""TCP sockets by state, through sock_diag(7): a quarter of the cost of /proc/net/tcp, and with the backlog."""

from __future__ import annotations

import socket
import struct
from collections import Counter
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from pathlib import Path

from kernelsight.collectors.base import Host, collector
from kernelsight.collectors.damage import parsing
from kernelsight.collectors.netlink.dump import Netlink
from kernelsight.collectors.netlink.messages import messages
from kernelsight.collectors.sockets import (
    Connection,
    Listener,
    ListenerEvents,
    WaitsFor,
    connection_events,
    tcp_event,
    waits_for,
)
from kernelsight.collectors.sockstat import SockstatFiles, TcpTotals
from kernelsight.errors import SourceUnavailableError, UsageError
from kernelsight.events.declare import Event
from kernelsight.events.tcp import Tcp, TcpConnection, TcpListener
from kernelsight.linux.sockets import ESTABLISHED, FIN_WAIT2, LISTEN, STATES, TIME_WAIT

# include/uapi/linux/netlink.h, inet_diag.h
_NETLINK_SOCK_DIAG = 4
_TCPDIAG_GETSOCK = 18  # the older request: the newer has to be sent, and the table walked, once a family
_MESSAGE = struct.Struct("=4B2H16s16sI8s5I")
_REQUEST = struct.Struct("=4B48xII")
_UNREAD = struct.Struct("=I")
_UNREAD_AT = struct.calcsize("=4B2H16s16sI8sI")
_EVERY_STATE = sum(1 << state for state in STATES)
_TIMER_OF_TIME_WAIT = 3
_MANY = 500


@collector(name="tcp", source="sock_diag", emits=(Tcp, TcpListener, TcpConnection), rank=1)
class TcpFromSockDiag:
    """TCP sockets by state, the accept queues of those that listen, and connections that do not get on.

    Options: `tcp_many`: sockets from which on those that are established or in TIME_WAIT are counted by
    difference from the kernel's totals (500). Of these, it is not known then which do not get on.
    """

    def __init__(self, host: Host) -> None:
        if host.proc != Path("/proc"):
            raise SourceUnavailableError(f"sock_diag is of this machine, not of {host.proc}")
        many = host.options.get("tcp_many", _MANY)
        if not isinstance(many, int):
            raise UsageError(f"tcp_many={many}: it must be a number of sockets")
        self._many = many
        self._sockstat = SockstatFiles(host)
        self._listeners = ListenerEvents(host.monotonic_ns)
        # Ask now, because some kernels lack the module and some containers forbid it.
        try:
            self._netlink = Netlink(_NETLINK_SOCK_DIAG, "sock_diag")
            parse_dump(self._dump(1 << LISTEN))
        except OSError as error:
            self._sockstat.close()
            raise SourceUnavailableError(f"the kernel answers no sock_diag request: {error.strerror}") from error

    def collect(self, now: int) -> Iterable[Event]:
        """Dump the sockets once."""
        totals = self._sockstat.read()
        known = totals.in_use is not None and totals.time_wait is not None
        many = known and (totals.in_use or 0) + (totals.time_wait or 0) >= self._many
        counted = _EVERY_STATE & ~(1 << ESTABLISHED | 1 << TIME_WAIT) if many else _EVERY_STATE
        dump = parse_dump(self._dump(counted))
        by_state = by_difference(dump, totals) if many else dump.by_state
        listeners = self._listeners.choose(now, dump.listeners)
        return [tcp_event(now, by_state, totals), *listeners, *connection_events(now, dump.troubled)]

    def close(self) -> None:
        """Close the socket and the files."""
        self._netlink.close()
        self._sockstat.close()

    def _dump(self, states: int) -> Iterator[bytes]:
        """Ask for all sockets, of both families, in a set of states (one bit each); yield the answers."""
        return self._netlink.dump(_TCPDIAG_GETSOCK, request_body(states))


def request_body(states: int) -> bytes:
    """What asks for all TCP sockets of both families in these states."""
    return _REQUEST.pack(socket.AF_UNSPEC, 0, 0, 0, states, 0)


@dataclass(slots=True)
class Dump:
    """What a dump says: sockets by state, listeners, connections that do not get on, and mini-sockets of TIME_WAIT."""

    by_state: Counter[int] = field(default_factory=Counter)
    mini_fin_wait2: int = 0
    """TIME_WAIT's mini-sockets that are shown as FIN_WAIT2."""
    listeners: list[Listener] = field(default_factory=list)
    troubled: list[Connection] = field(default_factory=list)


def parse_dump(answers: Iterable[bytes]) -> Dump:
    """Parse the answers, each of any number of messages.

    Raises:
        SourceUnavailableError: one ends within a message.
    """
    dump = Dump()
    states: list[int] = []
    for answer in answers:
        with parsing("sock_diag", answer):
            for state, timer, at in _sockets(answer):
                states.append(state)
                if state == LISTEN:
                    dump.listeners.append(_listener(answer, at))
                elif state == FIN_WAIT2 and timer == _TIMER_OF_TIME_WAIT:
                    dump.mini_fin_wait2 += 1
                elif (waits := waits_for(state, timer, answer[at + 3], _unread(answer, at))) is not None:
                    dump.troubled.append(_connection(answer, at, waits))
    dump.by_state.update(states)
    return dump


def _sockets(answer: bytes) -> Iterator[tuple[int, int, int]]:
    """State, timer and place of every socket in one answer."""
    for kind, start, end in messages(answer):
        if kind == _TCPDIAG_GETSOCK:
            if end - start < _MESSAGE.size:
                raise ValueError("a message is too short")
            yield answer[start + 1], answer[start + 2], start


def _unread(answer: bytes, start: int) -> int:
    unread: int = _UNREAD.unpack_from(answer, start + _UNREAD_AT)[0]
    return unread


def _connection(answer: bytes, start: int, waits: WaitsFor) -> Connection:
    family, state, _, retransmits, sport, dport, source, peer, _, _, _, unread, unsent, _, inode = _MESSAGE.unpack_from(
        answer, start
    )
    size = 4 if family == socket.AF_INET else 16
    local, remote = (socket.inet_ntop(family, raw[:size]) for raw in (source, peer))
    ports = socket.ntohs(sport), socket.ntohs(dport)
    return Connection((local, ports[0]), (remote, ports[1]), state, unread, unsent, waits, retransmits, inode)


def _listener(answer: bytes, start: int) -> Listener:
    family, *_, port, _, source, _, _, _, _, accept_queue, backlog, _, inode = _MESSAGE.unpack_from(answer, start)
    address = socket.inet_ntop(family, source[:4] if family == socket.AF_INET else source)
    return Listener(address, socket.ntohs(port), accept_queue, backlog, inode)


def by_difference(dump: Dump, totals: TcpTotals) -> Counter[int]:
    """Sockets by state, from a dump without ESTABLISHED and TIME_WAIT and the kernel's own totals.

    The totals hold every socket that is bound and not a mini-socket: all states but SYN_RECV (requests
    are no sockets yet) and TIME_WAIT. On a host with thousands of connections, that is what makes
    them free: only the others are dumped.
    """
    by_state = Counter(dump.by_state)
    others = sum(count for state, count in by_state.items() if STATES.get(state) != "syn_recv") - dump.mini_fin_wait2
    # The two were read one after the other; a difference below zero is none.
    by_state[ESTABLISHED] = max((totals.in_use or 0) - others, 0)
    by_state[TIME_WAIT] = max((totals.time_wait or 0) - dump.mini_fin_wait2, 0)
    return by_state
