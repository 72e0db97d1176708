"""Limits of the kernel and their use, from /proc/sys and the tables of what they count.

Documentation/admin-guide/sysctl/{fs,kernel}.rst, networking/nf_conntrack-sysctl.rst, keyrings(7), sysvipc(7), tcp(7).
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from functools import partial

from kernelsight.collectors.base import Host, collector
from kernelsight.collectors.clock import NS_PER_S
from kernelsight.collectors.damage import bounded, parsing, rows
from kernelsight.collectors.files import read_once
from kernelsight.collectors.text import integer, lines, number
from kernelsight.errors import SourceUnavailableError
from kernelsight.events.limit import Limit

_EVERY_NS = 5 * NS_PER_S


def _word(place: int, text: bytes) -> int | None:
    """The number at a place of a line of numbers."""
    return number(lines(text)[0].split()[place])


def _tasks(text: bytes) -> int | None:
    """Tasks of the machine, from ``0.72 0.25 0.08 1/119 9777``."""
    return number(lines(text)[0].split()[3].partition(b"/")[2])


def _entries(text: bytes) -> int | None:
    """Lines of a table, without its head."""
    return len(lines(text)) - 1


def _tcp_pages(text: bytes) -> int | None:
    """Pages of memory of all TCP sockets, from ``TCP: inuse 2 orphan 0 tw 0 alloc 2 mem 153``."""
    for line in lines(text):
        if line.startswith(b"TCP:"):
            words = line.split()
            return number(words[words.index(b"mem") + 1])
    raise ValueError("no line of TCP")


@dataclass(frozen=True, slots=True)
class _Source:
    """Where the use of one limit and the limit itself are read, below /proc."""

    name: str
    used_in: str
    used: Callable[[bytes], int | None]
    maximum_in: str
    maximum: Callable[[bytes], int | None]


_FIRST, _THIRD, _FOURTH = (partial(_word, place) for place in (0, 2, 3))
_SOURCES = (
    _Source("fs.file-max", "sys/fs/file-nr", _FIRST, "sys/fs/file-nr", _THIRD),
    _Source("fs.aio-max-nr", "sys/fs/aio-nr", _FIRST, "sys/fs/aio-max-nr", _FIRST),
    _Source("kernel.threads-max", "loadavg", _tasks, "sys/kernel/threads-max", _FIRST),
    _Source("kernel.pid_max", "loadavg", _tasks, "sys/kernel/pid_max", _FIRST),
    _Source("kernel.shmmni", "sysvipc/shm", _entries, "sys/kernel/shmmni", _FIRST),
    _Source("kernel.sem", "sysvipc/sem", _entries, "sys/kernel/sem", _FOURTH),
    _Source("kernel.msgmni", "sysvipc/msg", _entries, "sys/kernel/msgmni", _FIRST),
    _Source(
        "net.netfilter.nf_conntrack_max",
        "sys/net/netfilter/nf_conntrack_count", _FIRST, "sys/net/netfilter/nf_conntrack_max", _FIRST,
    ),
    _Source("net.ipv4.tcp_mem", "net/sockstat", _tcp_pages, "sys/net/ipv4/tcp_mem", _THIRD),
)  # fmt: skip
_PATHS = tuple(dict.fromkeys(path for source in _SOURCES for path in (source.used_in, source.maximum_in)))
_KEYS = "key-users"


@collector(formerly="limits", source="procfs", emits=(Limit,))
class LimitsCollector:
    """Use of the kernel's limits on files, tasks, keys, tracked connections and others, every 5 s.

    A limit that this kernel does not have, or whose module is not loaded, has no row.
    """

    def __init__(self, host: Host) -> None:
        self._proc = host.proc
        self._monotonic_ns = host.monotonic_ns
        self._due = 0
        if not any((host.proc / source.maximum_in).exists() for source in _SOURCES):
            raise SourceUnavailableError(f"no limits below {host.proc}/sys: is it mounted?")

    def collect(self, now: int) -> Iterator[Limit]:
        """Read all of them, if it is time to."""
        moment = self._monotonic_ns()
        if moment < self._due:
            return
        self._due = moment + _EVERY_NS
        texts = {path: read_once(f"{self._proc}/{path}") for path in _PATHS}
        for source in _SOURCES:
            with bounded(f"{self._proc}/{source.used_in}"):
                used, maximum = texts[source.used_in], texts[source.maximum_in]
                if used and maximum:
                    yield Limit(now, source.name, None, source.used(used), source.maximum(maximum))
        said = read_once(f"{self._proc}/{_KEYS}")
        if said:
            yield from parse_key_users(said, now)

    def close(self) -> None:
        """Nothing is kept open: the file of a module that is loaded later must be found."""


def parse_key_users(text: bytes, now: int) -> Iterator[Limit]:
    """Parse lines such as ``1000:     9 8/8 3/200 40/20000``: user, use, and at the third place keys of its quota.

    Raises:
        SourceUnavailableError: it is not that.
    """
    with parsing("/proc/key-users", text):
        yield from rows(partial(_keys_of_user, now), lines(text))


def _keys_of_user(now: int, line: bytes) -> Limit:
    uid, _, _, keys, *_ = line.split()
    used, _, maximum = keys.partition(b"/")
    return Limit(now, "kernel.keys.maxkeys", integer(uid.rstrip(b":")), integer(used), integer(maximum))
