"""Whose TCP sockets they are, from the kernel's own list of descriptors (iter/task_file)."""

from __future__ import annotations

from collections.abc import Sequence

from kernelsight.collectors.base import Host, collector
from kernelsight.collectors.bpf.columns import Columns
from kernelsight.collectors.bpf.descriptors import DescriptorPass
from kernelsight.collectors.clock import NS_PER_S
from kernelsight.collectors.files import read_once
from kernelsight.events.process import SocketOwner

_EVERY_NS = 10 * NS_PER_S


OWNERS = Columns(SocketOwner, "record")


@collector(source="bpf", emits=(SocketOwner,), rank=10)
class SocketOwnersFromFiles:
    """TCP sockets of every process that has any, every 10 s, in containers too.

    The same events as the source `procfs`, which sees the sockets of its own network namespace alone.
    """

    def __init__(self, host: Host) -> None:
        self._proc = host.proc
        self._pass = DescriptorPass("sockets")
        self._fill = OWNERS.of(self._pass.object.types)
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

    def collect(self, now: int) -> Sequence[SocketOwner]:
        """Add up the sockets, if it is time to; a process that has none any more is shown once so."""
        moment = self._monotonic_ns()
        if moment < self._due:
            return ()
        written = self._count()
        self._due = moment + max(_EVERY_NS, self._pass.rest_ns)
        owners = self._fill(now, written)
        having = {owner.pid for owner in owners if owner.pid is not None}
        (layout,) = self._fill.layouts
        for pid in self._had - having:
            comm = read_once(self._proc / str(pid) / "comm")
            if comm is not None:
                owners += self._fill(now, layout.pack(pid=pid, comm=comm.removesuffix(b"\n")))
        self._had = having
        return owners

    def close(self) -> None:
        """Remove the program from the kernel."""
        self._pass.close()

    def _count(self) -> bytes:
        self._seen.drain()
        return self._pass.run()
