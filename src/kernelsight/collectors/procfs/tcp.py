"""TCP sockets by state, from /proc/net/tcp and tcp6: where the kernel answers no sock_diag requests."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from contextlib import suppress

from kernelsight.collectors.base import Host, collector
from kernelsight.collectors.damage import bounded, ledger, parsing, rows
from kernelsight.collectors.files import KernelFile
from kernelsight.collectors.sockets import (
    Connection,
    Listener,
    ListenerEvents,
    connection_events,
    tcp_event,
    waits_for,
)
from kernelsight.collectors.sockstat import SockstatFiles
from kernelsight.collectors.text import integer, lines, uncut
from kernelsight.errors import SourceUnavailableError
from kernelsight.events.declare import Event
from kernelsight.events.tcp import Tcp, TcpConnection, TcpListener
from kernelsight.linux.sockets import LISTEN, address, check_header, parse_socket


@collector(name="tcp", source="procfs", emits=(Tcp, TcpListener, TcpConnection))
class TcpFromProc:
    """TCP sockets by state, accept queues of those that listen (without limit), and connections that do not get on."""

    def __init__(self, host: Host) -> None:
        self._files = [KernelFile(host.proc / "net/tcp", records=True, size=65536)]
        with suppress(SourceUnavailableError):  # no IPv6 here
            self._files.append(KernelFile(host.proc / "net/tcp6", records=True, size=65536))
        self._sockstat = SockstatFiles(host)
        self._listeners = ListenerEvents(host.monotonic_ns)

    def collect(self, now: int) -> Iterable[Event]:
        """Read all once."""
        by_state: Counter[int] | None = Counter()
        listeners: list[Listener] = []
        connections: list[Connection] = []
        for file in self._files:
            states = None
            with bounded(str(file.path)):
                states, listening, troubled = parse_proc_tcp(file.read())
                listeners += listening
                connections += troubled
            by_state = None if states is None or by_state is None else by_state + Counter(states)
        events: list[Event] = [tcp_event(now, by_state, self._sockstat.read())]
        return [*events, *self._listeners.choose(now, listeners), *connection_events(now, connections)]

    def close(self) -> None:
        """Close the files."""
        for file in self._files:
            file.close()
        self._sockstat.close()


def parse_proc_tcp(
    text: bytes,
) -> tuple[Mapping[int, int] | None, Sequence[Listener], Sequence[Connection]]:
    """Parse the table: the number of sockets in each state, those that listen, and those that do not get on.

    Where a line cannot be read, the numbers are not known, and None.

    Raises:
        SourceUnavailableError: it is not /proc/net/tcp or tcp6.
    """
    with parsing("/proc/net/tcp", text):
        before = ledger().count
        header, *sockets = lines(text)
        check_header(header)
        parsed = list(rows(_socket, sockets))
        listeners = [socket for _, socket in parsed if isinstance(socket, Listener)]
        troubled = [socket for _, socket in parsed if isinstance(socket, Connection)]
        return Counter(state for state, _ in parsed) if ledger().count == before else None, listeners, troubled


def _socket(line: bytes) -> tuple[int, Listener | Connection | None]:
    socket = parse_socket(uncut(line))
    state, unread = socket.state, socket.receive_queue
    if state == LISTEN:
        return state, Listener(*address(socket.local), unread, None, integer(socket.inode))
    waits = waits_for(state, socket.timer, socket.retransmits, unread)
    if waits is None:
        return state, None
    ends = address(socket.local), address(socket.peer)
    inode = integer(socket.inode)
    return state, Connection(*ends, state, unread, socket.send_queue, waits, socket.retransmits, inode)
