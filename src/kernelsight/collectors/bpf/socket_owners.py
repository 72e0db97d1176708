"""Whose TCP sockets they are, from the kernel's own list of descriptors (iter/task_file)."""

from __future__ import annotations

from collections.abc import Iterator
from struct import Struct
from typing import NamedTuple

from kernelsight.collectors.base import Host, collector
from kernelsight.collectors.bpf.descriptors import DescriptorPass
from kernelsight.collectors.clock import NS_PER_S
from kernelsight.collectors.files import read_once
from kernelsight.collectors.text import fixed_name
from kernelsight.events.process import SocketOwner

_RECORD = Struct("=6I2Q16s")  # struct record of socket_owners.bpf.c

_EVERY_NS = 10 * NS_PER_S


class _Owner(NamedTuple):
    """The sockets of one process, as the kernel's program added them up."""

    pid: int
    established: int
    close_wait: int
    syn_sent: int
    listening: int
    other: int
    receive_queue: int
    send_queue: int
    comm: bytes


@collector("socket_owner", source="bpf", emits=(SocketOwner,), rank=10)
class SocketOwnersFromFiles:
    """TCP sockets of every process that has any, every 10 s, in containers too.

    The same events as the source `procfs`, which sees the sockets of its own network namespace alone.
    """

    def __init__(self, host: Host) -> None:
        self._proc = host.proc
        self._pass = DescriptorPass("sockets")
        self._seen = self._pass.object.map("seen")
        self._lost = self._pass.object.variable("lost")
        try:
            self._count()
        except BaseException:
            self.close()
            raise
        self._monotonic_ns = host.monotonic_ns
        self._due = 0
        self._had: set[int] = set()

    @property
    def lost(self) -> int:
        """Sockets with several descriptors that may have been counted twice."""
        return self._lost.value

    def collect(self, now: int) -> Iterator[SocketOwner]:
        """Add up the sockets, if it is time to; a process that has none any more is shown once so."""
        moment = self._monotonic_ns()
        if moment < self._due:
            return
        written = self._count()
        self._due = moment + max(_EVERY_NS, self._pass.rest_ns)
        having: set[int] = set()
        for fields in _RECORD.iter_unpack(written):
            owner = _Owner._make(fields)
            having.add(owner.pid)
            yield _event(now, owner)
        for pid in self._had - having:
            comm = read_once(self._proc / str(pid) / "comm")
            if comm is not None:
                yield _event(now, _Owner(pid, 0, 0, 0, 0, 0, 0, 0, comm.removesuffix(b"\n")))
        self._had = having

    def close(self) -> None:
        """Remove the program from the kernel."""
        self._pass.close()

    def _count(self) -> bytes:
        self._seen.drain()
        return self._pass.run()


def _event(now: int, owner: _Owner) -> SocketOwner:
    return SocketOwner(
        now,
        pid=owner.pid,
        comm=fixed_name(owner.comm),
        established=owner.established,
        close_wait=owner.close_wait,
        syn_sent=owner.syn_sent,
        listening=owner.listening,
        other=owner.other,
        receive_queue_bytes=owner.receive_queue,
        send_queue_bytes=owner.send_queue,
    )
