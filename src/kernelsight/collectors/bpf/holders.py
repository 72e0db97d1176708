"""Who has a socket, found by its inode in the kernel's own list of descriptors (iter/task_file)."""

from __future__ import annotations

import time
from collections.abc import Callable, Collection, Mapping
from typing import NamedTuple

import msgspec

from kernelsight.collectors.bpf.descriptors import DescriptorPass
from kernelsight.collectors.bpf.layout import Records
from kernelsight.collectors.clock import NS_PER_S
from kernelsight.collectors.text import fixed_name

_KNOWN_NS = 10 * NS_PER_S
"""How long an answer is believed: a socket may be handed on, or its process end."""


class Holder(NamedTuple):
    """A process that has a socket."""

    pid: int
    comm: str


class _Record(msgspec.Struct, gc=False):
    """What the program fills in (struct holder of socket_owners.bpf.c)."""

    pid: int
    comm: bytes


class SocketHolders:
    """Knows one process for each socket that it was asked about; asks the kernel when it must."""

    def __init__(self, monotonic_ns: Callable[[], int] = time.monotonic_ns) -> None:
        self._monotonic_ns = monotonic_ns
        self._pass = DescriptorPass("holders")
        self._wanted = self._pass.object.map("wanted")
        self._records = Records(self._pass.object.types.layout("holder"), _Record)
        self._known: dict[int, Holder | None] = {}
        self._old_at = 0
        self._rests_until = 0

    def find(self, inodes: Collection[int]) -> Mapping[int, Holder | None]:
        """The holders of these sockets by inode; None or nothing where nobody has it, or it is not known yet.

        Args:
            inodes: the sockets.
        """
        now = self._monotonic_ns()
        is_old = now >= self._old_at
        unknown = {*inodes} if is_old else {*inodes} - self._known.keys()
        if unknown and now >= self._rests_until:
            if is_old:
                self._known.clear()
                self._old_at = now + _KNOWN_NS
            self._known |= self._ask(unknown)
            self._rests_until = now + self._pass.rest_ns
        return self._known

    def close(self) -> None:
        """Remove the program from the kernel."""
        self._pass.close()

    def _ask(self, inodes: Collection[int]) -> dict[int, Holder | None]:
        for inode in list(inodes)[: self._wanted.max_entries]:
            self._wanted.update(inode.to_bytes(self._wanted.key_size, "little"), bytes(self._records.size))
        self._pass.run()
        keys, values = self._wanted.drain()
        holders: dict[int, Holder | None] = {}
        for inode, holder in zip(self._wanted.numbers(keys), self._records.each(values), strict=True):
            holders[inode] = Holder(holder.pid, fixed_name(holder.comm)) if holder.pid else None
        return holders
