"""TCP sockets by state, from /proc/net/tcp and tcp6: where the kernel answers no sock_diag requests."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from contextlib import suppress

from kernelsight.collectors.base import Host, collector
from kernelsight.collectors.damage import bounded, ledger, parsing, rows
from kernelsight.collectors.files import KernelFile
from kernelsight.collectors.sockets import Listener, ListenerEvents, tcp_event
from kernelsight.collectors.sockstat import SockstatFiles
from kernelsight.collectors.text import integer, lines, uncut
from kernelsight.errors import SourceUnavailableError
from kernelsight.events.declare import Event
from kernelsight.events.tcp import Tcp, TcpListener
from kernelsight.linux.sockets import LISTEN, address, check_header, parse_socket


@collector(name="tcp", source="procfs", emits=(Tcp, TcpListener))
class TcpFromProc:
    """TCP sockets by state, and the accept queues of those that listen (without their limit)."""

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
        for file in self._files:
            states = None
            with bounded(str(file.path)):
                states, listening = parse_proc_tcp(file.read())
                listeners += listening
            by_state = None if states is None or by_state is None else by_state + Counter(states)
        return [tcp_event(now, by_state, self._sockstat.read()), *self._listeners.choose(now, listeners)]

    def close(self) -> None:
        """Close the files."""
        for file in self._files:
            file.close()
        self._sockstat.close()


def parse_proc_tcp(text: bytes) -> tuple[Mapping[int, int] | None, Sequence[Listener]]:
    """Parse the table: the number of sockets in each state, and those that listen.

    Where a line cannot be read, the numbers are not known, and None.

    Raises:
        SourceUnavailableError: it is not /proc/net/tcp or tcp6.
    """
    with parsing("/proc/net/tcp", text):
        before = ledger().count
        header, *sockets = lines(text)
        check_header(header)
        found = list(rows(_socket, sockets))
        listeners = [listener for _, listener in found if listener is not None]
        return Counter(state for state, _ in found) if ledger().count == before else None, listeners


def _socket(line: bytes) -> tuple[int, Listener | None]:
    socket = parse_socket(uncut(line))
    if socket.state != LISTEN:
        return socket.state, None
    return socket.state, Listener(*address(socket.local), socket.receive_queue, None, integer(socket.inode))
