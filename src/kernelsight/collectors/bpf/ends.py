"""From the ends of connections and pipes to who waits for whom."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Literal, TypeAlias

import msgspec

from kernelsight.collectors.bpf.place import address, plain
from kernelsight.collectors.bpf.wait import place
from kernelsight.collectors.files import comm_of
from kernelsight.collectors.text import fixed_name
from kernelsight.events.pending_wait import PendingWait

NS_PER_S = 1_000_000_000
_RATES = (100, 250, 300, 1000)
"""Ticks a second that a kernel may have (CONFIG_HZ)."""
_TCP, _UDP, _UNIX, _PIPE = range(4)
_SOON_S, _SOON_SHARE = 2.0, 0.05
"""How long a thread may work on a request before it sleeps, as a time and as a share of the time since."""
_TICK_S = 0.02
"""Sockets note times in ticks of up to 10 ms."""

WaitsFor: TypeAlias = Literal["answer", "reader", "request"]
Place: TypeAlias = tuple[bytes, int]
Transport: TypeAlias = Literal["tcp", "udp", "unix", "pipe"]
_TRANSPORTS: Mapping[int, Transport] = {_TCP: "tcp", _UDP: "udp", _UNIX: "unix", _PIPE: "pipe"}


class End(msgspec.Struct, gc=False):
    """One end of a connection or pipe as the pass saw it (struct end); times in ticks of the kernel."""

    inode: int
    mark: int
    pid: int
    fd: int
    kind: int
    sent_ago: int
    received_ago: int
    unread: int
    peer_pid: int
    family: int
    local_port: int
    remote_port: int
    listens: int
    reads: int
    oneway: int
    local_address: bytes
    remote_address: bytes
    comm: bytes

    @property
    def places(self) -> tuple[Place, Place]:
        """Where it is and where the other end is; an IPv4 address is the same in a socket of IPv6."""
        return (
            (plain(self.family, self.local_address), self.local_port),
            (plain(self.family, self.remote_address), self.remote_port),
        )

    @property
    def service(self) -> tuple[str, int]:
        """Address and port of the end that listens."""
        if self.listens:
            return address(self.family, self.local_address), self.local_port
        return address(self.family, self.remote_address), self.remote_port


class Sleeper(msgspec.Struct, gc=False):
    """A thread that sleeps (struct sleeper)."""

    pid: int
    asleep_ns: int
    call: int


def call_of_the_asked(threads: Iterable[Sleeper], waited_s: float) -> int | None:
    """The call in which the thread sleeps that fell asleep soon after a request came; None: no thread did.

    Args:
        threads: of the process that got it.
        waited_s: how long ago the request came.
    """
    least_s = waited_s - max(_SOON_S, _SOON_SHARE * waited_s)
    since = [thread for thread in threads if least_s <= thread.asleep_ns / NS_PER_S <= waited_s + _TICK_S]
    nearest = min(since, key=lambda thread: abs(thread.asleep_ns / NS_PER_S - waited_s), default=None)
    return None if nearest is None else nearest.call


def ticks_per_second(jiffies: int, monotonic_ns: int) -> int:
    """CONFIG_HZ, by the count of ticks, which begins five minutes before it overflows 32 bits (INITIAL_JIFFIES).

    Args:
        jiffies: the 64-bit count.
        monotonic_ns: the kernel's time at that moment.
    """

    def error(rate: int) -> float:
        return abs((jiffies - (1 << 32) + 300 * rate) / rate - monotonic_ns / NS_PER_S)

    return min(_RATES, key=error)


@dataclass(slots=True)
class Pending:
    """A wait, before those of one process for the same are put together."""

    waits_for: WaitsFor
    waiter: End | None
    peer: End | None
    of: End
    """The end that says where the service is."""
    seconds: float
    peer_pid: int = 0
    """Where the peer has no end among those that are known."""
    peer_call: int | None = None
    """Call in which the thread of the peer sleeps that got the request."""
    peer_at_terminal: bool | None = None
    """Whether a thread of the peer sleeps in a call on a terminal; None: not known."""


@dataclass(slots=True)
class Ages:
    """Since when ends are as they are, for those that do not know it themselves."""

    since: dict[tuple[int, int], tuple[int, int]] = field(default_factory=dict)
    """By inode and pid: the mark, and the moment at which it was first seen."""

    def update(self, ends: Iterable[End], moment: int) -> None:
        """Take in what a pass saw (ns); what it did not see is forgotten."""
        before, self.since = self.since, {}
        for end in ends:
            known = before.get((end.inode, end.pid))
            self.since[end.inode, end.pid] = known if known and known[0] == end.mark else (end.mark, moment)

    def of(self, end: End, moment: int) -> float:
        """Seconds for which an end has been as it is."""
        return (moment - self.since[end.inode, end.pid][1]) / NS_PER_S


def pending(ends: Sequence[End], ages: Ages, rate: int, moment: int) -> Iterator[Pending]:
    """Who waits for whom, by the ends of connections and pipes.

    Args:
        ends: as the pass saw them.
        ages: of these ends.
        rate: ticks a second.
        moment: now (ns), on the clock of the ages.
    """
    tcp = _one_process_each(end for end in ends if end.kind == _TCP)
    by_places = {end.places: end for end in tcp}
    for end in tcp:
        here, there = end.places
        yield from _of_tcp(end, by_places.get((there, here)), rate)
    pipes: dict[int, list[End]] = {}
    for end in ends:
        seconds = ages.of(end, moment)
        if end.kind == _PIPE:
            pipes.setdefault(end.inode, []).append(end)
        elif end.kind == _UNIX and seconds >= 1:
            yield Pending("reader", None, end, end, seconds, end.peer_pid)
        elif end.kind == _UDP and seconds >= 1:
            yield Pending("answer", end, None, end, seconds)
    for its in pipes.values():
        readers, writers = [end for end in its if end.reads], [end for end in its if not end.reads]
        seconds = ages.of(its[0], moment)
        # Whoever made a pipe for its children may have its ends, too: the last to get one is who uses it.
        if readers and writers and seconds >= 1 and readers[-1].pid != writers[-1].pid:
            yield Pending("reader", writers[-1], readers[-1], readers[-1], seconds)


def _one_process_each(ends: Iterable[End]) -> list[End]:
    """Of sockets that several processes have: a client's parent made it, and a server's child has taken it over."""
    by_pid: dict[int, End] = {}
    for end in ends:
        known = by_pid.get(end.inode)
        if known is None or (end.pid > known.pid) == bool(end.listens):
            by_pid[end.inode] = end
    return [*by_pid.values()]


def _of_tcp(end: End, other: End | None, rate: int) -> Iterator[Pending]:
    if end.listens and end.reads:
        if other is None or not other.reads:
            yield Pending("answer", None, end, end, end.received_ago / rate)
    elif end.listens and not end.unread:
        yield Pending("request", end, other, end, min(end.sent_ago, end.received_ago) / rate)
    elif end.reads and not end.oneway:
        yield Pending("answer", end, other, end, end.sent_ago / rate)


def together(waits: Iterable[Pending], proc: Path, now: int) -> list[PendingWait]:
    """The events: the waits of one process for the same, put together."""
    grouped: dict[tuple[object, ...], PendingWait] = {}
    for wait in waits:
        pid, comm = _named(wait.waiter, 0, proc)
        peer_pid, peer_comm = _named(wait.peer, 0, proc)
        if wait.waiter is None and wait.peer_pid:
            pid, comm = _named(None, wait.peer_pid, proc)
        if pid is not None and pid == peer_pid:
            continue
        where = wait.of.service if wait.of.kind in (_TCP, _UDP) else (None, None)
        key = (pid, wait.waits_for, peer_pid, *where)
        ms = wait.seconds * 1e3
        row = grouped.get(key)
        waits_in = None if wait.peer_call is None else place(wait.peer_call)
        if row is None:
            grouped[key] = PendingWait(
                now,
                pid=pid,
                comm=comm,
                waits_for=wait.waits_for,
                peer_pid=peer_pid,
                peer_comm=peer_comm,
                peer_waits_in=waits_in,
                peer_waits_at_terminal=wait.peer_at_terminal,
                transport=_TRANSPORTS[wait.of.kind],
                address=where[0],
                port=where[1],
                connections=1,
                waited_ms=ms,
                shortest_ms=ms,
            )
        else:
            row.connections = (row.connections or 0) + 1
            row.peer_waits_in = row.peer_waits_in if ms <= (row.waited_ms or 0) else waits_in
            row.waited_ms, row.shortest_ms = max(row.waited_ms or 0, ms), min(row.shortest_ms or ms, ms)
    return [*grouped.values()]


def _named(end: End | None, pid: int, proc: Path) -> tuple[int | None, str | None]:
    if end is not None:
        return end.pid, fixed_name(end.comm)
    return (pid, comm_of(proc, pid)) if pid else (None, None)
