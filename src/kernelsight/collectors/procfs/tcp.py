"""TCP sockets by state, from /proc/net/tcp and tcp6: where the kernel answers no sock_diag requests."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from contextlib import suppress

from kernelsight.collectors.base import Host, collector
from kernelsight.collectors.files import KernelFile
from kernelsight.collectors.procfs.socket_text import hexadecimal, place
from kernelsight.collectors.sockets import LISTEN, Listener, ListenerEvents, tcp_event
from kernelsight.collectors.sockstat import SockstatFiles
from kernelsight.collectors.text import number, parsing, whole_lines
from kernelsight.errors import SourceUnavailableError
from kernelsight.events.declare import Event
from kernelsight.events.network import Tcp, TcpListener

_LEAST_FIELDS = 10


@collector("tcp", source="procfs", emits=(Tcp, TcpListener))
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
        by_state: Counter[int] = Counter()
        listeners: list[Listener] = []
        for file in self._files:
            states, listening = parse_proc_tcp(file.read())
            by_state.update(states)
            listeners += listening
        return [tcp_event(now, by_state, self._sockstat.read()), *self._listeners.choose(now, listeners)]

    def close(self) -> None:
        """Close the files."""
        for file in self._files:
            file.close()
        self._sockstat.close()


def parse_proc_tcp(text: bytes) -> tuple[Mapping[int, int], Sequence[Listener]]:
    """Parse the table: the number of sockets in each state, and those that listen.

    Raises:
        SourceUnavailableError: it is not /proc/net/tcp or tcp6.
    """
    with parsing("/proc/net/tcp", text):
        header, *lines = whole_lines(text)
        if header.split()[:1] != [b"sl"]:
            raise ValueError("its first line is not the header")
        by_state: Counter[int] = Counter()
        listeners: list[Listener] = []
        for line in lines:
            fields = line.split(None, _LEAST_FIELDS)
            state = int(fields[3], 16)
            by_state[state] += 1
            if state == LISTEN:
                listeners.append(_listener(fields))
        return by_state, listeners


def _listener(fields: Sequence[bytes]) -> Listener:
    # Of a listening socket, rx_queue is the number of connections that wait to be accepted.
    queue = hexadecimal(fields[4].partition(b":")[2])
    return Listener(*place(fields[1]), queue, None, number(fields[9]))
