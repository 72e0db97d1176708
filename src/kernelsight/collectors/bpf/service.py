"""Services and their clients: requests, answers and who waits for one (bpf/services.bpf.c)."""

from __future__ import annotations

import time
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import NamedTuple

import msgspec

from kernelsight.collectors.base import Host, collector
from kernelsight.collectors.bpf import objects
from kernelsight.collectors.bpf.abi import KERNEL_BTF, kernel_knows
from kernelsight.collectors.bpf.holders import Holder, SocketHolders
from kernelsight.collectors.bpf.layout import Records
from kernelsight.collectors.bpf.libbpf import Object
from kernelsight.collectors.bpf.service_places import UDP, UNIX, Place, Places
from kernelsight.collectors.bpf.service_rows import Listening, Sums, edge_rows, is_quiet, service_row, stats_rows
from kernelsight.collectors.clock import NS_PER_S
from kernelsight.collectors.text import fixed_name
from kernelsight.errors import SourceUnavailableError
from kernelsight.events.declare import Event
from kernelsight.events.service import Service, ServiceEdge, ServiceStats

_COARSE_CLOCK = 6  # CLOCK_MONOTONIC_COARSE, which Python does not name; its resolution is the kernel's tick
_INVENTORY_NS = 10 * NS_PER_S
_TRACEPOINTS = ("sk_data_ready", "sock_recv_length", "sock_send_length")
_BY_TRACEPOINTS = ("on_arrival", "on_read", "on_send")
_RECEIVE = ("inet_recvmsg", "inet6_recvmsg", "unix_stream_recvmsg")
_SEND = ("inet_sendmsg", "inet6_sendmsg", "unix_stream_sendmsg", "inet_sendpage")
_BY_FUNCTIONS = ("arrival", *(f"read_{name}" for name in _RECEIVE), *(f"sent_{name}" for name in _SEND))
_ALWAYS = ("on_state", "on_reset_sent", "on_reset_received")
_TO_RUN = ("set_clock", "find_listeners", "look")


class _Record(msgspec.Struct, gc=False):
    """What is listened to at one place (struct listening)."""

    sockets: int
    accept_queue: int
    backlog: int
    drops: int
    pid: int
    inode: int
    cgroup_id: int
    comm: bytes


class _Known(NamedTuple):
    """A service as it was last told."""

    holder: Holder | None
    backlog: int
    sockets: int


def _traffic_hooks() -> tuple[str, ...]:
    """The programs that see what arrives, is read and is sent."""
    missing = [name for name in _TRACEPOINTS if not kernel_knows(f"btf_trace_{name}")]
    if not missing or not KERNEL_BTF.exists():  # without it, all tracers say the same
        return _BY_TRACEPOINTS
    if lacking := [name for name in ("sock_def_readable", *_RECEIVE, *_SEND) if not kernel_knows(name)]:
        raise SourceUnavailableError(
            f"this kernel has no tracepoint {', '.join(missing)} and no function {', '.join(lacking)}; "
            "use Linux 6.3 or later to see services"
        )
    return _BY_FUNCTIONS


@collector(name="service", source="bpf", emits=(Service, ServiceStats, ServiceEdge))
class Services:
    """Requests to each service (TCP, UDP, Unix), their latency, what is unanswered, and who the clients are.

    In all network namespaces. Up to 256 services and 1,024 edges that have connections in one second; the rest is
    counted as lost.
    """

    def __init__(self, host: Host) -> None:
        if host.proc != Path("/proc"):
            raise SourceUnavailableError(f"the kernel's sockets are of this machine, not of {host.proc}")
        hooks = _traffic_hooks()
        self._monotonic_ns = host.monotonic_ns
        tick_ns = round(NS_PER_S * time.clock_getres(_COARSE_CLOCK))
        programs = (*_ALWAYS, *hooks, *_TO_RUN)
        self._object = Object(objects.image("services"), "services", settings={"tick_ns": tick_ns}, programs=programs)
        try:
            self._object.run("set_clock")
            self._object.attach(*_ALWAYS)
            self._object.iterate("find_listeners")  # those who listen must be known before a connection is seen
            self._object.attach(*hooks)
            self._holders = SocketHolders(host.monotonic_ns)
        except BaseException:
            self._object.close()
            raise
        self._connections, self._listeners = self._object.map("connections"), self._object.map("listeners")
        self._services, self._edges = self._object.map("services"), self._object.map("edges")
        self._records = Records(self._object.types.layout("listening"), _Record)
        self._places = Places(self._object)
        self._sums = Sums(self._object.types)
        self._losses = [self._object.variable(f"{name}_lost") for name in ("services", "edges", "listeners")]
        self._known: dict[Place, _Known] = {}
        self._drops: dict[Place, int] = {}
        self._active: set[Place] = set()
        self._inventory_due = 0

    def collect(self, now: int) -> Iterable[Event]:
        """What happened since the last time, and what is under way."""
        self._object.iterate("look", self._connections)
        services, edges = self._services.drain()[1], self._edges.drain()[1]  # at once: the hooks go on counting
        listening = self._read_listeners()
        events: list[Event] = [*self._inventory(now, listening)]
        events += self._stats(now, services, listening)
        events += edge_rows(self._sums, self._places, edges, now)
        self._places.forget({*listening} | self._active)
        return events

    @property
    def lost(self) -> int:
        """Times that a service, an edge or a listener found its map full."""
        return sum(loss.value for loss in self._losses)

    def close(self) -> None:
        """Remove the programs from the kernel."""
        self._object.close()
        self._holders.close()

    def _read_listeners(self) -> dict[Place, Listening]:
        keys, values = self._listeners.drain()
        listening: dict[Place, Listening] = {}
        drops: dict[Place, int] = {}
        for place, row in zip(self._places.of_keys(keys), self._records.each(values), strict=True):
            drops[place] = row.drops
            refused = max(0, row.drops - self._drops.get(place, row.drops))
            listening[place] = Listening(
                row.sockets,
                None if place.protocol == UDP else row.accept_queue,
                None if place.protocol == UDP else row.backlog,
                None if place.protocol == UNIX else refused,
                row.inode,
                row.pid,
                fixed_name(row.comm),
                row.cgroup_id,
            )
        self._drops = drops
        return listening

    def _inventory(self, now: int, listening: Mapping[Place, Listening]) -> Iterable[Service]:
        """Rows of services that are new or have changed, and every ten seconds of all."""
        moment = self._monotonic_ns()
        everything = moment >= self._inventory_due
        if everything:
            self._inventory_due = moment + _INVENTORY_NS
        elif all(place in self._known for place in listening):
            return
        holders = self._holders.find({what.inode for what in listening.values() if what.inode})
        known: dict[Place, _Known] = {}
        for place, what in listening.items():
            known[place] = _Known(holders.get(what.inode), what.backlog or 0, what.sockets)
            if everything or self._known.get(place) != known[place]:
                yield service_row(now, place, self._places.text(place), what, known[place].holder)
        self._known = known

    def _stats(self, now: int, sums: bytes, listening: Mapping[Place, Listening]) -> Iterable[ServiceStats]:
        """Rows of services where something happens, and one more when it has ended."""
        busy = {*self._places.of_sums(sums, self._sums.service)}
        waiting = [
            place for place, what in listening.items() if (what.accept_queue or what.refused) and place not in busy
        ]
        resting = [place for place in self._active if place not in busy and place not in waiting]
        active: set[Place] = set()
        for place, event in stats_rows(self._sums, self._places, sums, (*waiting, *resting), listening, now):
            quiet = is_quiet(event)
            if not quiet:
                active.add(place)
            if not quiet or place in self._active:
                yield event
        self._active = active
