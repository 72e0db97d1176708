"""Calls of clients to services: how long each waits for its answers, by second, as the kernel of the client sees it."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field

from kernelsight.diagnosis.connections import place_of
from kernelsight.diagnosis.model import Entity
from kernelsight.diagnosis.processes import named
from kernelsight.diagnosis.seconds import Seconds
from kernelsight.diagnosis.window import Interval, Window
from kernelsight.events.service import ServiceEdge


@dataclass(slots=True)
class Calls:
    """The calls of one process to one service."""

    pid: int
    comm: str | None
    server_pid: int | None
    server_comm: str | None
    address: str | None
    port: int | None
    rows: list[ServiceEdge] = field(default_factory=list)
    waited: Seconds = field(default_factory=Seconds)
    """Seconds from sending to the arrival of answers, summed, by the second in which they came."""
    answers: Seconds = field(default_factory=Seconds)
    felt: dict[int, float] = field(default_factory=dict)
    """By second: how long an answer took on average, or how long the oldest request has had none, if that is longer."""

    @property
    def place(self) -> str:
        """Address and port of the service; of a Unix socket its path."""
        return place_of(self.address, self.port) if self.port is not None else self.address or "?"

    def mean_s(self, run: Interval) -> float:
        """Seconds until an answer within a stretch, on average; 0 without one."""
        return self.waited.within(run) / max(self.answers.within(run), 1.0)

    def felt_s(self, run: Interval) -> float:
        """What was felt in a stretch, on average over the seconds in which anything was."""
        known = [seconds for at, seconds in self.felt.items() if at in run]
        return sum(known) / max(len(known), 1)


def calls(window: Window) -> Sequence[Calls]:
    """The calls of all processes of this machine to services. Use with :meth:`Window.once`."""
    found: dict[tuple[int, str | None, int | None], Calls] = {}
    for row in window.rows(ServiceEdge):
        if row.pid is None:
            continue
        key = row.pid, row.address, row.port
        of = found.get(key)
        if of is None:
            of = found[key] = Calls(row.pid, row.comm, row.server_pid, row.server_comm, row.address, row.port)
        if row.server_pid is not None:
            of.server_pid, of.server_comm = row.server_pid, row.server_comm
        _add(of, row, window.second(row))
    return [*found.values()]


def _add(of: Calls, row: ServiceEdge, second: int) -> None:
    of.rows.append(row)
    seconds, count = (row.latency_us or 0) / 1e6, row.latency_count or 0
    of.waited.add(second, seconds)
    of.answers.add(second, count)
    felt = max(seconds / count if count else 0.0, (row.oldest_unanswered_ms or 0) / 1e3)
    if felt:
        of.felt[second] = max(of.felt.get(second, 0.0), felt)


def server_of(window: Window, of: Calls) -> Entity:
    """Who is called: a process of this machine, or an address."""
    if of.server_pid is not None:
        return named(window, of.server_pid, of.server_comm)
    return Entity("listener", of.place, of.place)


def by_server(all_calls: Iterable[Calls]) -> Mapping[tuple[int | None, str], Sequence[Calls]]:
    """Calls by who is called: a pid, or else a place."""
    found: dict[tuple[int | None, str], list[Calls]] = {}
    for of in all_calls:
        found.setdefault((of.server_pid, "" if of.server_pid is not None else of.place), []).append(of)
    return found
