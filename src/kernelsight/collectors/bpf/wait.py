"""The wait-for graph: who waited for whom (bpf/waits.h)."""

from __future__ import annotations

import os
import time
from collections.abc import Iterable, Mapping
from functools import lru_cache
from typing import Literal

from kernelsight.collectors.base import Host, collector
from kernelsight.collectors.bpf.columns import Columns, Filler, made
from kernelsight.collectors.bpf.syscall_names import COMPAT, name_of
from kernelsight.collectors.bpf.threads import Feature, join
from kernelsight.collectors.text import fixed_name
from kernelsight.events.declare import Event
from kernelsight.events.scheduler import Wait

_STATES: tuple[Literal["runnable", "interruptible", "uninterruptible"], ...] = (
    "runnable", "interruptible", "uninterruptible",
)  # fmt: skip
_CONTEXTS: Mapping[int, Literal["task", "softirq", "hardirq", "idle"]] = {
    0: "task", 1: "softirq", 2: "hardirq", 3: "idle",
}  # fmt: skip
_PAGE_FAULT = -2

EDGE_NS = 150
"""What `waits` adds to a switch that `scheduler` watches anyway; benchmarks/overhead.py measures it."""
LARGEST_SHARE = 0.03
"""Of one core, that recording may cost; less where collecting may use less (`--max-cpu`)."""
_LARGEST_MASK = (1 << 12) - 1


@lru_cache(maxsize=1024)
def place(waits_in: int) -> str | None:
    """What a thread waited in: the name of a system call (or its number, where it has none), a page fault, or None."""
    if waits_in >= 0:
        return name_of(waits_in) or f"{'compat_' if waits_in >= COMPAT else 'syscall_'}{waits_in % COMPAT}"
    return "page_fault" if waits_in == _PAGE_FAULT else None


def _if_seen(context: int, waker: int) -> int | None:
    return waker if context in _CONTEXTS else None


def _named(waker: int, comm: bytes) -> str | None:
    return fixed_name(comm) if waker else None


WAITS = Columns(
    Wait,
    "edge_key",
    "edge",
    waker_pid=made(_if_seen, "waker_context", "waker"),
    waker_comm=made(_named, "waker", "waker_comm"),
    waker_context=made(_CONTEXTS.get, "waker_context"),
    waits_in=made(place, "waits_in"),
    state=made(_STATES.__getitem__, "state"),
)


def parse_edges(fill: Filler[Wait], keys: bytes, values: bytes, now: int) -> list[Wait]:
    """The drained map as events, without edges that are made, but not yet added to."""
    return [wait for wait in fill(now, keys, values) if wait.count]


def thin_mask(switches_per_s: float, share: float = LARGEST_SHARE) -> int:
    """Which waits to record so that it costs at most its share of a core: one in this and one more."""
    too_many = switches_per_s * EDGE_NS / (share * 1e9)
    mask = 0
    while mask + 1 < too_many and mask < _LARGEST_MASK:
        mask = mask * 2 + 1
    return mask


@collector(formerly="waits", source="bpf", emits=(Wait,))
class Waits:
    """Which process waited for which, in which call, how long, each second; thinned where switches are too many."""

    def __init__(self, host: Host) -> None:
        self._threads = join(Feature.WAIT_EDGES, host)
        loaded = self._threads.object
        self._edges = loaded.map("edges")
        self._fill = WAITS.of(loaded.types)
        self._slots = loaded.variable("slots")
        self._slot = loaded.types.layout("slot")
        self._mask = loaded.variable("thin_mask")
        self._share = min(LARGEST_SHARE, LARGEST_SHARE if host.max_cpu is None else host.max_cpu)
        self._losses = [loaded.variable(name) for name in ("edges_lost", "threads_missed")]
        self._lost_at_start = self._lost()
        self._counted = self._switches()
        self._counted_at = time.monotonic()

    def collect(self, now: int) -> Iterable[Event]:
        """The edges since the last time."""
        self._thin()
        return parse_edges(self._fill, *self._edges.drain(), now)

    def discard(self) -> None:
        """Throw away the edges since the last time."""
        self._thin()
        self._edges.drain()

    @property
    def lost(self) -> int:
        """Waits that found the map full, and threads that could not be followed."""
        return self._lost() - self._lost_at_start

    def close(self) -> None:
        """Leave the hooks."""
        self._threads.close()

    def _lost(self) -> int:
        return sum(loss.value for loss in self._losses)

    def _switches(self) -> int:
        cpus = os.sysconf("SC_NPROCESSORS_CONF")
        return sum(self._slot.column("switches", self._slots.raw)[:cpus])

    def _thin(self) -> None:
        counted, at = self._switches(), time.monotonic()
        if at > self._counted_at:
            self._mask.value = thin_mask((counted - self._counted) / (at - self._counted_at), self._share)
        self._counted, self._counted_at = counted, at
