"""UDP sockets as a source describes them, and the events that are made from them."""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from typing import NamedTuple

from kernelsight.events.udp_socket import UdpSocket

_INVENTORY_NS = 10_000_000_000
_MOST_ROWS = 64


Key = tuple[str, int, int | None]
"""What tells one socket from the others: address, port and inode."""


class Receiver(NamedTuple):
    """One UDP socket."""

    address: str
    port: int
    inode: int | None
    receive_queue: int
    drops: int
    receive_buffer: int | None

    @property
    def key(self) -> Key:
        """What tells it from the others."""
        return self[:3]


class UdpEvents:
    """Chooses which sockets are worth a row.

    Those that dropped something since the last look or have something to read, and once more when they
    have not any longer; every ten seconds those that ever dropped something. At most 64, those that
    drop now first.
    """

    def __init__(self, monotonic_ns: Callable[[], int] = time.monotonic_ns) -> None:
        self._monotonic_ns = monotonic_ns
        self._inventory_due = 0
        self._drops: dict[Key, int] = {}
        self._queued: set[Key] = set()

    def lacks(self, sockets: Sequence[Receiver]) -> bool:
        """Whether one that had something to read is not among these, so that those with nothing are needed too."""
        return not self._queued <= {socket.key for socket in sockets}

    def choose(self, now: int, sockets: Sequence[Receiver]) -> list[UdpSocket]:
        """The events of this sample."""
        moment = self._monotonic_ns()
        everything = moment >= self._inventory_due
        if everything:
            self._inventory_due = moment + _INVENTORY_NS
        dropped = {socket.key: socket.drops - self._drops.get(socket.key, 0) for socket in sockets}
        chosen = [
            socket
            for socket in sockets
            if socket.receive_queue
            or dropped[socket.key]
            or socket.key in self._queued
            or (everything and socket.drops)
        ]
        self._drops = {socket.key: socket.drops for socket in sockets if socket.drops}
        self._queued = {socket.key for socket in sockets if socket.receive_queue}
        chosen.sort(key=lambda socket: (-dropped[socket.key], -socket.receive_queue, socket.port, socket.address))
        return [
            UdpSocket(
                now,
                address=socket.address,
                port=socket.port,
                receive_queue_bytes=socket.receive_queue,
                receive_buffer_bytes=socket.receive_buffer,
                drops=socket.drops,
                inode=socket.inode,
            )
            for socket in chosen[:_MOST_ROWS]
        ]
