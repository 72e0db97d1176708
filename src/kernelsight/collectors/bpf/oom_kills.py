"""Processes that the kernel kills because memory ran out (bpf/oom_kills.bpf.c)."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterable
from struct import Struct
from typing import NamedTuple

from kernelsight.collectors.base import Host, collector
from kernelsight.collectors.bpf.libbpf import Object
from kernelsight.collectors.bpf.objects import image
from kernelsight.collectors.text import fixed_name
from kernelsight.events.declare import Event
from kernelsight.events.memory import OomKill
from kernelsight.events.unsigned import wrap_u64

_KILL = Struct("<3Q5q4IiI16s16s")  # struct kill, without `path`
_NAME = 256
_PAGE_KB = os.sysconf("SC_PAGE_SIZE") // 1024
_REMEMBERED = 1000


class Kill(NamedTuple):
    """One record of the ring buffer: memory in pages, page tables in bytes."""

    at: int
    start_time: int
    cgroup: int
    total_vm: int
    file: int
    anon: int
    shmem: int
    page_table_bytes: int
    pid: int
    uid: int
    trigger_pid: int
    depth: int
    oom_score_adj: int
    described: int
    comm: bytes
    trigger_comm: bytes
    path: str | None


def parse_kill(record: bytes) -> Kill:
    """A record; its path is None where it is too deep or memory is not accounted to groups."""
    kill = Kill._make((*_KILL.unpack_from(record), None))
    if not kill.depth:
        return kill
    end = _KILL.size + (kill.depth - 1) * _NAME
    names = [fixed_name(record[at : at + _NAME]) for at in range(_KILL.size, end, _NAME)]
    return kill._replace(path="/" + "/".join(reversed(names)))


def event_of(kill: Kill, to_epoch: Callable[[int], int]) -> OomKill:
    """A record as an event; what is not known of the victim stays empty."""
    event = OomKill(
        timestamp=to_epoch(kill.at),
        pid=kill.pid,
        trigger_pid=kill.trigger_pid,
        trigger_comm=fixed_name(kill.trigger_comm),
    )
    if kill.described:
        event.comm = fixed_name(kill.comm)
        event.uid = kill.uid
        event.total_vm_kb = kill.total_vm * _PAGE_KB
        event.anon_rss_kb = max(kill.anon, 0) * _PAGE_KB
        event.file_rss_kb = max(kill.file, 0) * _PAGE_KB
        event.shmem_rss_kb = max(kill.shmem, 0) * _PAGE_KB
        event.page_tables_kb = kill.page_table_bytes // 1024
        event.oom_score_adj = kill.oom_score_adj
        event.cgroup_id = wrap_u64(kill.cgroup)
        event.cgroup = kill.path
    return event


@collector("oom_kills", source="bpf", emits=(OomKill,))
class OomKills:
    """Processes that the kernel kills because memory ran out, of a control group or of the machine.

    Seen is who gets access to the last reserves so as to end soon: that is also a process that was
    ending anyway when memory ran out. Before 6.9 and the stable kernels of February 2025 the kernel
    says only the pid; all else is then known where the victim's own allocation failed.
    """

    def __init__(self, host: Host) -> None:  # noqa: ARG002
        self._object = Object(image("oom_kills"), "oom_kills")
        try:
            self._object.attach("on_victim")
        except BaseException:
            self.close()
            raise
        self._ring = self._object.ring("kills")
        self._lost = self._object.variable("kills_lost")
        self._seen: set[tuple[int, int]] = set()

    def fileno(self) -> int:
        """Readable when something was killed."""
        return self._ring.epoll_fd

    def drain(self, to_epoch: Callable[[int], int]) -> Iterable[Event]:
        """What was killed since the last time."""
        kills = [parse_kill(record) for record in self._ring.consume()]
        return [event_of(kill, to_epoch) for kill in kills if self._is_first(kill)]

    def collect(self, now: int) -> Iterable[Event]:  # noqa: ARG002
        """Nothing: kills come by themselves."""
        return ()

    @property
    def lost(self) -> int:
        """Kills that found the ring buffer full."""
        return self._lost.value

    def close(self) -> None:
        """Detach the program."""
        self._object.close()

    def _is_first(self, kill: Kill) -> bool:
        """A process of many threads is marked once for each of them that needs memory in order to end."""
        if not kill.described:
            return True
        if len(self._seen) >= _REMEMBERED:
            self._seen.clear()
        before = len(self._seen)
        self._seen.add((kill.pid, kill.start_time))
        return len(self._seen) > before
