"""From the sums of one second (bpf/service.h) to rows."""

from __future__ import annotations

from array import array
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import TypeVar

from kernelsight.collectors.bpf.btf import Btf
from kernelsight.collectors.bpf.columns import Columns, made
from kernelsight.collectors.bpf.histogram import COARSE, Counts
from kernelsight.collectors.bpf.holders import Holder
from kernelsight.collectors.bpf.layout import Layout
from kernelsight.collectors.bpf.service_places import (
    PROTOCOLS,
    TCP,
    UDP,
    UNIX,
    Place,
    Places,
    Reader,
    address,
    is_loopback,
)
from kernelsight.collectors.text import fixed_name
from kernelsight.events.service import Service, ServiceEdge, ServiceStats
from kernelsight.events.unsigned import wrap_u64

_FRACTIONS = (0.5, 0.95, 0.99)
_PERCENTILES = ("p50", "p95", "p99")
T = TypeVar("T", int, float)


@dataclass(frozen=True, slots=True)
class Listening:
    """What is known of the sockets that listen at one place."""

    sockets: int = 0
    accept_queue: int | None = None
    backlog: int | None = None
    refused: int | None = None
    inode: int = 0
    pid: int = 0
    comm: str = ""
    cgroup_id: int = 0


_NOT_LISTENING = Listening()


def _port(protocol: int, port: int) -> int | None:
    return port if protocol != UNIX and port else None


def _netns(protocol: int, netns: int) -> int | None:
    return None if protocol == UNIX else netns


def _or_none(number: int) -> int | None:
    return number or None


def _text(raw: bytes) -> str | None:
    return fixed_name(raw) or None


def _us(ns: int) -> float:
    return ns / 1000


def _less_us(whole_ns: int, part_ns: int) -> float:
    return max(0, whole_ns - part_ns) / 1000


def _age_ms(count: int, ns: int) -> float | None:
    return ns / 1e6 if count else None


def _waited_ms(in_flight: int, connecting: int, ns: int) -> float | None:
    return _age_ms(in_flight + connecting, ns)


def _flag(count: int, flag: int) -> bool | None:
    return bool(flag) if count else None


def _but_for_udp(protocol: int, number: int) -> int | None:
    return None if protocol == UDP else number


def _of_tcp(protocol: int, number: int) -> int | None:
    return number if protocol == TCP else None


def _remote(pid: int, family: int, raw: bytes) -> str | None:
    return None if pid else address(family, raw)


def _of_process(pid: int, number: int) -> int | None:
    return number if pid else None


def _of_process_us(pid: int, ns: int) -> float | None:
    return ns / 1000 if pid else None


def _tcp_of_process(pid: int, protocol: int, number: int) -> int | None:
    return number if pid and protocol == TCP else None


STATS = Columns(
    ServiceStats,
    "service_sums",
    apart=("latency", "queue", "service", "max_ns"),
    protocol=made(PROTOCOLS.__getitem__, "at_protocol"),
    address=made(address, "at_family", "at_address"),
    port=made(_port, "at_protocol", "at_port"),
    netns=made(_netns, "at_protocol", "at_netns"),
    pid=made(_or_none, "pid"),
    comm=made(_text, "comm"),
    abandoned=made(_of_tcp, "at_protocol", "abandoned"),
    accepted=made(_of_tcp, "at_protocol", "accepted"),
    resets_sent=made(_of_tcp, "at_protocol", "resets_sent"),
    resets_received=made(_of_tcp, "at_protocol", "resets_received"),
    connections=made(_but_for_udp, "at_protocol", "connections"),
    latency_us=made(_us, "latency_ns"),
    service_us=made(_us, "service_ns"),
    queue_us=made(_less_us, "latency_ns", "service_ns"),
    oldest_unanswered_ms=made(_age_ms, "in_flight", "oldest_ns"),
    oldest_is_read=made(_flag, "in_flight", "oldest_is_read"),
    oldest_pid=made(_or_none, "oldest_pid"),
    oldest_comm=made(_text, "oldest_comm"),
    oldest_client_pid=made(_or_none, "oldest_client_pid"),
)
EDGES = Columns(
    ServiceEdge,
    "edge_sums",
    apart=("latency", "max_ns"),
    pid=made(_or_none, "pid"),
    comm=made(_text, "comm"),
    client_address=made(_remote, "pid", "at_family", "client_address"),
    protocol=made(PROTOCOLS.__getitem__, "at_protocol"),
    address=made(address, "at_family", "at_address"),
    port=made(_port, "at_protocol", "at_port"),
    netns=made(_netns, "at_protocol", "at_netns"),
    server_pid=made(_or_none, "server_pid"),
    server_comm=made(_text, "server_comm"),
    is_local=made(bool, "is_local"),
    abandoned=made(_tcp_of_process, "pid", "at_protocol", "abandoned"),
    latency_us=made(_of_process_us, "pid", "latency_ns"),
    latency_count=made(_of_process, "pid", "latency_count"),
    oldest_unanswered_ms=made(_waited_ms, "in_flight", "connecting", "oldest_ns"),
    connecting=made(_tcp_of_process, "pid", "at_protocol", "connecting"),
    connects=made(_tcp_of_process, "pid", "at_protocol", "connects"),
    refused=made(_tcp_of_process, "pid", "at_protocol", "refused"),
    resets=made(_tcp_of_process, "pid", "at_protocol", "resets"),
    streams=made(_of_process, "pid", "streams"),
    bytes_sent=made(_of_process, "pid", "bytes_out"),
    bytes_received=made(_of_process, "pid", "bytes_in"),
)


def counts_of(histogram: bytes) -> Counts:
    """What is in a histogram of 32-bit counts."""
    return [(bucket, count) for bucket, count in enumerate(array("I", histogram)) if count]


class Sums:
    """How the sums of services and edges lie in memory."""

    def __init__(self, types: Btf) -> None:
        self.stats, self.edges = STATS.of(types), EDGES.of(types)
        (self.service,), (self.edge,) = self.stats.layouts, self.edges.layouts


def _time(event: ServiceStats | ServiceEdge, layout: Layout, sums: bytes) -> None:
    """Fill in the percentiles of what was timed."""
    for part in ("latency", "queue", "service"):
        if part not in layout.names:
            continue
        counts = counts_of(sums[layout[part].offset : layout[part].end])
        if not counts:  # none was timed, or it came between the reading of the sums and that of the histograms
            return
        times = COARSE.percentiles(counts, _FRACTIONS)
        if part == "latency":
            longest = max(layout.column("max_ns", sums)[0], COARSE.lower_bound(counts[-1][0]))
            event.latency_max_us = longest / 1000
            times = [min(ns, longest) for ns in times]
        for name, ns in zip(_PERCENTILES, times, strict=True):
            setattr(event, f"{part}_{name}_us", ns / 1000)


def stats_rows(  # noqa: PLR0913, PLR0917
    sums: Sums,
    places: Places,
    drained: bytes,
    others: Sequence[Place],
    listening: Mapping[Place, Listening],
    now: int,
) -> Iterator[tuple[Place, ServiceStats]]:
    """Rows of the services in the drained map, and of others in which nothing happened."""
    layout = sums.service
    values = drained + b"".join(
        layout.pack(**{f"at_{name}": value for name, value in place._asdict().items()}) for place in others
    )
    for at, (place, event) in enumerate(zip(places.of_sums(values, layout), sums.stats(now, values), strict=True)):
        what = listening.get(place, _NOT_LISTENING)
        event.accept_queue, event.backlog, event.refused = what.accept_queue, what.backlog, what.refused
        if place.protocol == UNIX:
            event.address = places.text(place)
        if event.answers:
            _time(event, layout, values[at * layout.size : (at + 1) * layout.size])
        if event.pid is not None:
            places.readers[place] = Reader(event.pid, event.comm or "", event.cgroup_id or 0)
        elif reader := places.readers.get(place):
            event.pid, event.comm, event.cgroup_id = reader.pid, reader.comm or None, reader.cgroup_id
        if event.pid is None:
            event.cgroup_id = None
        yield place, event


def is_quiet(event: ServiceStats) -> bool:
    """Whether nothing happened, and nothing is under way."""
    return not (
        event.requests
        or event.answers
        or event.in_flight
        or event.accepted
        or event.abandoned
        or event.bytes_in
        or event.bytes_out
        or event.accept_queue
        or event.refused
        or event.resets_sent
        or event.resets_received
    )


def edge_rows(sums: Sums, places: Places, drained: bytes, now: int) -> Iterable[ServiceEdge]:
    """Rows of the edges where something happened or is under way."""
    layout = sums.edge
    for at, (place, event) in enumerate(zip(places.of_sums(drained, layout), sums.edges(now, drained), strict=True)):
        sent = event.requests or event.answers or event.in_flight or event.bytes_sent or event.bytes_received
        if not (sent or event.connecting or event.connects or event.refused or event.resets or event.abandoned):
            continue
        if event.protocol == "unix":
            event.address = places.text(place)
            event.is_local = True
        elif event.protocol == "udp":
            if event.port is None:
                event.address = None
            event.is_local, reader = places.local_reader(place)
            if reader:
                event.server_pid, event.server_comm = reader.pid, reader.comm or None
        elif is_loopback(event.address):
            event.is_local = True
        if event.pid is None:
            event.cgroup_id = None
        elif event.answers:
            _time(event, layout, drained[at * layout.size : (at + 1) * layout.size])
        yield event


def service_row(now: int, place: Place, address_text: str | None, what: Listening, holder: Holder | None) -> Service:
    """The row of a service in the inventory."""
    is_same = holder is None or holder.pid == what.pid
    return Service(
        now,
        protocol=PROTOCOLS[place.protocol],
        address=address_text,
        port=_port(place.protocol, place.port),
        netns=_netns(place.protocol, place.netns),
        pid=holder.pid if holder else what.pid or None,
        comm=holder.comm if holder else what.comm or None,
        backlog=what.backlog,
        sockets=what.sockets,
        cgroup_id=wrap_u64(what.cgroup_id) if is_same and what.pid else None,
    )
