"""Who has waited for the other end of a connection or pipe for more than a second (bpf/pending_waits.bpf.c)."""

from __future__ import annotations

import time
from collections import deque
from collections.abc import Iterable, Mapping, Sequence
from heapq import nsmallest
from pathlib import Path

from kernelsight.collectors.background_reads import BackgroundReads
from kernelsight.collectors.base import Host, collector
from kernelsight.collectors.bpf import objects
from kernelsight.collectors.bpf.ends import (
    Ages,
    End,
    Pending,
    Sleeper,
    call_of_the_asked,
    pending,
    ticks_per_second,
    together,
)
from kernelsight.collectors.bpf.layout import Records
from kernelsight.collectors.bpf.libbpf import Object
from kernelsight.collectors.bpf.waited_for import descriptors_waited_for, waits_at_terminal
from kernelsight.collectors.privileges import OTHERS_PROCESSES
from kernelsight.collectors.time_namespace import kernel_monotonic_ns
from kernelsight.errors import SourceUnavailableError
from kernelsight.events.declare import Event
from kernelsight.events.pending_wait import PendingWait

_MOST_REQUESTS = 32
"""Connections on which services wait for their clients; those that went on last are told."""
_NEW_S = 15.0
"""How long a UDP socket that nobody waits for is looked at again: most of those that get no answer never do."""
_MOST_LOOKED_AT = 16
_PATIENCE_S = 0.05
"""How long the other collectors may be kept waiting for a look at the calls of these processes."""
_REST = 200
"""Pause for so many times as long as the quickest of the last passes took: half a percent of a core at most."""
_FORGETS_EVERY = 64
"""Passes after which ports are dropped where nobody listens any more."""
_UDP = 1  # enum kind in bpf/pending_waits.bpf.c


@collector(source="bpf", emits=(PendingWait,), needs=OTHERS_PROCESSES)
class PendingWaits:
    """Who has waited for the other end of a connection or pipe for more than a second, and for whom; every second."""

    def __init__(self, host: Host) -> None:
        if host.proc != Path("/proc"):
            raise SourceUnavailableError(f"the kernel's list of descriptors is of this machine, not of {host.proc}")
        self._host = host
        self._object = Object(objects.image("pending_waits"), "pending_waits")
        self._records = Records(self._object.types.layout("end"), End)
        self._ports_layout = self._object.types.layout("ports")
        self._pass, self._lost = self._object.variable("pass"), self._object.variable("lost")
        self._told, self._ports = self._object.variable("told"), self._object.map("listening")
        self._sleepers = Records(self._object.types.layout("sleeper"), Sleeper)
        self._waited_for_pids = self._object.map("waited_for")
        self._ages = Ages()
        self._aside = BackgroundReads(self._descriptors)
        self._terminals = BackgroundReads(self._at_terminal)
        self._waited: frozenset[tuple[int, int]] = frozenset()
        self._took_ns: deque[int] = deque(maxlen=4)
        self._rests_until = 0
        try:
            self._look()
        except BaseException:
            self.close()
            raise
        self._rate = ticks_per_second(self._object.variable("ticks").value, kernel_monotonic_ns())
        self._object.variable("a_second").value = self._rate

    @property
    def limitations(self) -> list[str]:
        """What cannot be told."""
        return [
            *self._aside.limitations("waits for answers of UDP"),
            *self._terminals.limitations("whether readers wait for their users"),
        ]

    @property
    def lost(self) -> int:
        """Ends that were not looked at because there were too many."""
        return self._lost.value

    def collect(self, now: int) -> Iterable[Event]:
        """One pass over all descriptors, unless the last one took so long that it is too soon."""
        moment = self._host.monotonic_ns()
        if moment < self._rests_until:
            return ()
        began = time.thread_time_ns()
        ends = self._look()
        self._took_ns.append(time.thread_time_ns() - began)
        self._rests_until = moment + _REST * min(self._took_ns)
        self._ages.update(ends, moment)
        waits = [*pending(self._waited_for(ends, moment), self._ages, self._rate, moment)]
        self._ask_for_clients(waits)
        requests = [wait for wait in waits if wait.waits_for == "request"]
        others = [wait for wait in waits if wait.waits_for != "request"]
        self._find_sleepers(others)
        self._find_terminals(others)
        last = nsmallest(_MOST_REQUESTS, requests, key=lambda wait: wait.seconds)
        return together([*others, *last], self._host.proc, now)

    def close(self) -> None:
        """Remove the program from the kernel."""
        self._aside.close()
        self._terminals.close()
        self._object.close()

    def _look(self) -> list[End]:
        self._told.value = 0
        self._pass.value += 1
        if self._pass.value % _FORGETS_EVERY == 0:
            self._forget_ports()
        return [*self._records.each(self._object.iterate("ends"))]

    def _forget_ports(self) -> None:
        for key, value in [*self._ports.items()]:
            if self._ports_layout.column("seen", value)[0] + 1 < self._pass.value:
                self._ports.delete(key)

    def _waited_for(self, ends: Sequence[End], moment: int) -> list[End]:
        """All ends but those of UDP sockets that no thread waits for: to send and not to listen is common there."""
        datagrams = [end for end in ends if end.kind == _UDP and self._ages.of(end, moment) >= 1]
        looked_at = [
            end for end in datagrams if self._ages.of(end, moment) <= _NEW_S or (end.inode, end.pid) in self._waited
        ]
        waited = self._with_a_thread(looked_at[:_MOST_LOOKED_AT])
        self._waited = frozenset((end.inode, end.pid) for end in waited)
        return [*(end for end in ends if end.kind != _UDP), *waited]

    def _with_a_thread(self, ends: Sequence[End]) -> list[End]:
        """Those that a thread of their process waits for; none while a look does not end."""
        if ends and not self._aside.is_busy:
            self._aside.ask({end.pid for end in ends})
        done = self._aside.answer(_PATIENCE_S)
        if done is None:
            return []
        if done.error is not None:
            raise done.error
        descriptors = done.answer or {}
        return [end for end in ends if end.fd in descriptors.get(end.pid, ())]

    def _descriptors(self, pids: Iterable[int]) -> Mapping[int, frozenset[int]]:
        return {pid: descriptors_waited_for(self._host.proc, pid) for pid in pids}

    def _find_terminals(self, waits: Iterable[Pending]) -> None:
        """Note of each wait for a reader whether that waits for its user; not known while a look does not end."""
        unread = [wait for wait in waits if wait.waits_for == "reader" and wait.peer is not None]
        pids = sorted({wait.peer.pid for wait in unread if wait.peer is not None})[:_MOST_LOOKED_AT]
        if pids and not self._terminals.is_busy:
            self._terminals.ask(pids)
        done = self._terminals.answer(_PATIENCE_S)
        if done is None:
            return
        if done.error is not None:
            raise done.error
        for wait in unread:
            if wait.peer is not None:
                wait.peer_at_terminal = (done.answer or {}).get(wait.peer.pid)

    def _at_terminal(self, pids: Iterable[int]) -> Mapping[int, bool | None]:
        return {pid: waits_at_terminal(self._host.proc, pid) for pid in pids}

    def _find_sleepers(self, waits: Sequence[Pending]) -> None:
        """Note of each wait for an answer in which call the thread sleeps that got the request, if one does."""
        asked = [wait for wait in waits if wait.waits_for == "answer" and wait.peer is not None]
        pids = {wait.peer.pid for wait in asked if wait.peer is not None}
        if not pids:
            return
        self._waited_for_pids.drain()
        for pid in [*pids][: self._waited_for_pids.max_entries]:
            self._waited_for_pids.update(pid.to_bytes(4, "little"), bytes(4))
        threads: dict[int, list[Sleeper]] = {}
        for sleeper in self._sleepers.each(self._object.iterate("sleepers")):
            threads.setdefault(sleeper.pid, []).append(sleeper)
        for wait in asked:
            if wait.peer is not None:
                wait.peer_call = call_of_the_asked(threads.get(wait.peer.pid, ()), wait.seconds)

    def _ask_for_clients(self, waits: Iterable[Pending]) -> None:
        """Have the next pass tell all connections of the services whose clients wait for an answer."""
        ports = {
            wait.of.local_port if wait.of.listens else wait.of.remote_port
            for wait in waits
            if wait.waits_for == "answer"
        }
        for port in ports:
            key = port.to_bytes(4, "little")
            if known := self._ports.lookup(key):
                seen = self._ports_layout.column("seen", known)[0]
                self._ports.update(key, self._ports_layout.pack(seen=seen, wanted=self._pass.value + 1))
