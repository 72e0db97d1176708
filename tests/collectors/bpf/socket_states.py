"""Sockets in every state that they can be in, made on loopback by this process and no other.

    unshare --net sh -c 'ip link set lo up && exec python socket_states.py'

prints what every source says of them in a network namespace of their own.
"""

from __future__ import annotations

import json
import os
import socket
from contextlib import ExitStack

from kernelsight.collectors.base import Host, registered

NOW = 1_800_000_000_000_000_000
ADDRESSES = ((socket.AF_INET, "127.0.0.1"), (socket.AF_INET6, "::1"))


class Sockets:
    """Opens sockets; all are closed with the stack."""

    def __init__(self, stack: ExitStack, family: int, address: str) -> None:
        self.stack, self.family, self.address = stack, family, address
        self.listener = stack.enter_context(socket.create_server((address, 0), family=family, backlog=128))

    def connect(self, listener: socket.socket, *, blocking: bool = True) -> socket.socket:
        client = self.stack.enter_context(socket.socket(self.family))
        client.setblocking(blocking)
        client.connect_ex(listener.getsockname()[:2])
        return client

    def pair(self) -> tuple[socket.socket, socket.socket]:
        client = self.connect(self.listener)
        return client, self.stack.enter_context(self.listener.accept()[0])


def fill(sender: socket.socket) -> None:
    """Send until the other side's window is closed, so that nothing more, not even a FIN, leaves."""
    sender.setblocking(False)
    try:
        while True:
            sender.send(bytes(1 << 20))
    except BlockingIOError:
        pass


def in_every_state(stack: ExitStack, family: int, address: str) -> None:
    """Sockets of one family in each of the eleven states but CLOSE, which no table shows."""
    make = Sockets(stack, family, address)
    make.pair()[0].sendall(b"x" * 1000)  # ESTABLISHED, with something to read
    make.pair()[0].close()  # CLOSE_WAIT, and FIN_WAIT2 without an owner
    make.pair()[0].shutdown(socket.SHUT_WR)  # CLOSE_WAIT, and FIN_WAIT2 with an owner
    client, served = make.pair()
    client.close()
    served.close()  # TIME_WAIT
    client, _ = make.pair()
    fill(client)
    client.shutdown(socket.SHUT_WR)  # FIN_WAIT1
    client, served = make.pair()
    fill(client)
    client.shutdown(socket.SHUT_WR)
    served.shutdown(socket.SHUT_WR)  # CLOSING, and FIN_WAIT2
    client, served = make.pair()
    client.shutdown(socket.SHUT_WR)
    fill(served)
    served.shutdown(socket.SHUT_WR)  # LAST_ACK, and FIN_WAIT2
    full = stack.enter_context(socket.create_server((address, 0), family=family, backlog=1))
    for _ in range(2):
        make.connect(full)  # in the accept queue, which is full with them
    make.connect(full, blocking=False)  # SYN_SENT
    waits = stack.enter_context(socket.create_server((address, 0), family=family, backlog=7))
    waits.setsockopt(socket.IPPROTO_TCP, socket.TCP_DEFER_ACCEPT, 60)
    make.connect(waits)  # SYN_RECV, until something is sent
    stack.enter_context(socket.socket(family)).bind((address, 0))
    stack.enter_context(make.pair()[1].dup())  # one with two descriptors
    stack.enter_context(socket.socket(family))  # and one that was never used


def datagrams(stack: ExitStack, family: int, address: str) -> None:
    """A socket that is not read and drops, one that is not read, and one where nothing ever arrived."""
    sender = stack.enter_context(socket.socket(family, socket.SOCK_DGRAM))
    for count, size in ((50, 4096), (1, 65536), (0, 65536)):
        receiver = stack.enter_context(socket.socket(family, socket.SOCK_DGRAM))
        receiver.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, size)
        receiver.bind((address, 0))
        for _ in range(count):
            sender.sendto(b"x" * 500, receiver.getsockname()[:2])


def main() -> None:

    with ExitStack() as stack:
        for family, address in ADDRESSES:
            in_every_state(stack, family, address)
            datagrams(stack, family, address)
        said: dict[str, dict[str, object]] = {}
        for name in ("tcp", "socket_owner", "udp_socket"):
            for entry in registered()[name]:
                collector = entry.factory(Host())
                stack.callback(collector.close)
                said.setdefault(name, {})[entry.source] = [
                    {"kind": type(event).__name__} | {field: getattr(event, field) for field in event.__struct_fields__}
                    for event in collector.collect(NOW)
                ]
        print(json.dumps({"pid": os.getpid(), "said": said}))


if __name__ == "__main__":
    main()
