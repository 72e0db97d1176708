"""TCP sockets by state, out of the kernel's own tables: a seventh of the cost of sock_diag."""

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
from kernelsight.collectors.sockets import Listener, ListenerEvents, tcp_event
from kernelsight.collectors.sockstat import SockstatFiles
from kernelsight.errors import SourceUnavailableError
from kernelsight.events.declare import Event
from kernelsight.events.tcp import Tcp, TcpConnection, TcpListener
from kernelsight.linux.sockets import STATES


class _Listener(msgspec.Struct, gc=False):
    """A socket that listens (struct listener of tcp.bpf.c)."""

    at_inode: int
    at_family: int
    at_port: int
    at_address: bytes
    accept_queue: int
    backlog: int


_WAITS_FOR = (None, "answer", "acknowledgement", "window", "reader", "round_trip")
"""By the numbers of enum of troubled.h."""


class _Connection(msgspec.Struct, gc=False):
    """A connection that does not get on (struct connection of troubled.h)."""

    at_inode: int
    at_family: int
    at_port: int
    at_address: bytes
    peer_family: int
    peer_port: int
    peer_address: bytes
    state: int
    waits_for: int
    was_accepted: int
    unsent_bytes: int
    unacknowledged_bytes: int
    unread_bytes: int
    send_window_bytes: int
    receive_window_bytes: int
    srtt_us: int
    min_rtt_us: int
    retransmits: int


@collector(name="tcp", source="bpf", emits=(Tcp, TcpListener, TcpConnection), rank=2)
class TcpFromTables:
    """TCP sockets by state, accept queues of those that listen, and connections that do not get on, with processes.

    Connections of all network namespaces are looked at; the other numbers are of its own.
    """

    def __init__(self, host: Host) -> None:
        if host.proc != Path("/proc"):
            raise SourceUnavailableError(f"the kernel's tables are of this machine, not of {host.proc}")
        self._sockstat = SockstatFiles(host)
        self._listeners = ListenerEvents(host.monotonic_ns)
        try:
            self._object = Object(objects.image("tcp"), "tcp")
        except BaseException:
            self._sockstat.close()
            raise
        try:
            self._holders = SocketHolders()
        except BaseException:
            self._object.close()
            self._sockstat.close()
            raise
        self._left = self._object.variable("left")
        self._states = self._object.variable("states")
        self._found = self._object.variable("found")
        self._rows = self._object.variable("listeners")
        self._records = Records(self._object.types.layout("listener"), _Listener)
        self._troubled = self._object.variable("troubled")
        self._lost_connections = self._object.variable("lost_connections")
        self._connection_rows = self._object.variable("connections_found")
        self._connections = Records(self._object.types.layout("connection"), _Connection)
        self.lost = 0
        """Listeners and connections that were counted, but not looked at, because there are too many."""

    def collect(self, now: int) -> Iterable[Event]:
        """Go through the tables once."""
        self._object.run("count_tcp")
        while self._left.value:
            self._object.run("count_tcp")
        counts = dict(enumerate(self._states.values))
        listeners = self._listeners.choose(now, self._read_listeners())
        rows: list[TcpListener | TcpConnection] = [*listeners, *self._read_connections(now)]
        holders = self._holders.find([row.inode for row in rows if row.inode])
        for row in rows:
            if holder := holders.get(row.inode or 0):
                row.pid, row.comm = holder
        return [tcp_event(now, counts, self._sockstat.read()), *rows]

    def close(self) -> None:
        """Remove the programs from the kernel, and close the files."""
        self._object.close()
        self._holders.close()
        self._sockstat.close()

    def _read_connections(self, now: int) -> list[TcpConnection]:
        self.lost += self._lost_connections.value
        data = self._connection_rows.raw[: self._troubled.value * self._connections.size]
        return [
            TcpConnection(
                now,
                saddr=address(row.at_family, row.at_address),
                sport=row.at_port,
                daddr=address(row.peer_family, row.peer_address),
                dport=row.peer_port,
                state=STATES.get(row.state),
                waits_for=_WAITS_FOR[row.waits_for],  # type: ignore[arg-type]
                is_accepted=bool(row.was_accepted),
                unsent_bytes=row.unsent_bytes,
                unacknowledged_bytes=row.unacknowledged_bytes,
                unread_bytes=row.unread_bytes,
                send_window_bytes=row.send_window_bytes,
                receive_window_bytes=row.receive_window_bytes,
                round_trip_us=row.srtt_us,
                shortest_round_trip_us=row.min_rtt_us or None,
                retransmits=row.retransmits,
                inode=row.at_inode,
            )
            for row in self._connections.each(data)
        ]

    def _read_listeners(self) -> list[Listener]:
        listeners = self._found.value
        rows = self._rows.raw
        room = len(rows) // self._records.size
        self.lost += max(0, listeners - room)
        return [
            Listener(address(row.at_family, row.at_address), row.at_port, row.accept_queue, row.backlog, row.at_inode)
            for row in self._records.each(rows[: min(listeners, room) * self._records.size])
        ]
