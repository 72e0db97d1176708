"""Processes that the kernel kills because memory ran out (bpf/oom_kills.bpf.c)."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterable

import msgspec

from kernelsight.collectors.base import Host, collector
from kernelsight.collectors.bpf.columns import Columns, made
from kernelsight.collectors.bpf.layout import Records
from kernelsight.collectors.bpf.libbpf import Object
from kernelsight.collectors.bpf.objects import image
from kernelsight.collectors.text import fixed_name
from kernelsight.events.declare import Event
from kernelsight.events.memory import OomKill

_PAGE_KB = os.sysconf("SC_PAGE_SIZE") // 1024
_REMEMBERED = 1000


class _Victim(msgspec.Struct, gc=False):
    """Who was killed, and whether the kernel said more of it than that (struct kill)."""

    start_time: int
    pid: int
    described: int


def _if_described(described: int, value: int) -> int | None:
    return value if described else None


def _comm(described: int, comm: bytes) -> str | None:
    return fixed_name(comm) if described else None


def _kb(described: int, pages: int) -> int | None:
    return max(pages, 0) * _PAGE_KB if described else None


def _kb_of_bytes(described: int, size: int) -> int | None:
    return size // 1024 if described else None


def _group(described: int, depth: int, path: bytes) -> str | None:
    """The path of a group; None where it is too deep, or memory is not accounted to groups."""
    if not described or not depth:
        return None
    names = [fixed_name(path[at : at + _NAME]) for at in range(0, (depth - 1) * _NAME, _NAME)]
    return "/" + "/".join(reversed(names))


_NAME = 256  # MAX_NAME of oom_kills.bpf.c

KILLS = Columns(
    OomKill,
    "kill",
    stamp="at",
    apart=("start_time",),
    comm=made(_comm, "described", "comm"),
    uid=made(_if_described, "described", "uid"),
    total_vm_kb=made(_kb, "described", "total_vm"),
    anon_rss_kb=made(_kb, "described", "anon"),
    file_rss_kb=made(_kb, "described", "file"),
    shmem_rss_kb=made(_kb, "described", "shmem"),
    page_tables_kb=made(_kb_of_bytes, "described", "page_table_bytes"),
    oom_score_adj=made(_if_described, "described", "oom_score_adj"),
    cgroup_id=made(_if_described, "described", "cgroup_id"),
    cgroup=made(_group, "described", "depth", "path"),
)


@collector(formerly="oom_kills", source="bpf", emits=(OomKill,))
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
        self._victims = Records(self._object.types.layout("kill"), _Victim)
        self._fill = KILLS.of(self._object.types)
        self._ring = self._object.ring("kills")
        self._lost = self._object.variable("kills_lost")
        self._seen: set[tuple[int, int]] = set()

    def fileno(self) -> int:
        """Readable when something was killed."""
        return self._ring.epoll_fd

    def drain(self, to_epoch: Callable[[int], int]) -> Iterable[Event]:
        """What was killed since the last time."""
        records = self._ring.consume()
        kills = zip(self._victims.listed(records), self._fill(to_epoch, records), strict=True)
        return [event for victim, event in kills if self._is_first(victim)]

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

    def _is_first(self, kill: _Victim) -> bool:
        """A process of many threads is marked once for each of them that needs memory in order to end."""
        if not kill.described:
            return True
        if len(self._seen) >= _REMEMBERED:
            self._seen.clear()
        before = len(self._seen)
        self._seen.add((kill.pid, kill.start_time))
        return len(self._seen) > before
