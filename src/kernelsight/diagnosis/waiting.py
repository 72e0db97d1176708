"""Who waits for whom: the edges of the wait-for graph over a window.

The method of wPerf (Zhou et al., OSDI 2018): the longest wait is rarely the cause. One follows the
waits from who suffers to where they end: at something that does not wait, or that waits only within
itself.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field

from kernelsight.diagnosis.model import Evidence
from kernelsight.diagnosis.seconds import Seconds
from kernelsight.diagnosis.threshold import Threshold
from kernelsight.diagnosis.window import NS_PER_S, Interval, Window
from kernelsight.events.fields import Metric, row_getter
from kernelsight.events.scheduler import Wait
from kernelsight.linux.syscalls import IDLE_WAITS


@dataclass(slots=True)
class Edge:
    """All waits of one process, in one place and state, that one process (or an interrupt) ended."""

    pid: int
    comm: str
    waker_pid: int | None
    """0: an interrupt or a timer; None: not known, or it never slept (`runnable`)."""
    waker_comm: str | None
    waits_in: str | None
    """System call, `page_fault`, or None."""
    state: str | None
    """`runnable` (taken off the CPU), `interruptible` or `uninterruptible`."""
    rows: list[Wait] = field(default_factory=list)
    waited: Seconds = field(default_factory=Seconds)
    """Seconds asleep, by second of the window. Of a long sleep, all of it in the second in which it ended."""
    counted: Seconds = field(default_factory=Seconds)
    """Number of waits."""

    def waited_in(self, run: Interval) -> float:
        """Seconds asleep within a stretch, of all threads together."""
        return self.waited.within(run)

    def count_in(self, run: Interval) -> float:
        """Number of waits within a stretch."""
        return self.counted.within(run)

    def mean_in(self, run: Interval) -> float:
        """Seconds that a wait took within a stretch, on average; 0 where there was none."""
        count = self.count_in(run)
        return self.waited_in(run) / count if count else 0.0

    @property
    def is_own(self) -> bool:
        """Whether one's own threads end the wait."""
        return self.waker_pid == self.pid

    @property
    def rests(self) -> bool:
        """Whether a thread of the kernel waits for work, as it may without being held up."""
        return self.waits_in is None and self.state == "interruptible"

    @property
    def is_idle(self) -> bool:
        """Whether it is a wait for work, for time or for children."""
        return self.waits_in in IDLE_WAITS


@dataclass(frozen=True, slots=True)
class WaitGraph:
    """The edges of a window, from both ends."""

    edges: Sequence[Edge]
    by_waiter: Mapping[int, Sequence[Edge]]
    by_waker: Mapping[int, Sequence[Edge]]


LEAST_SHARE = Threshold(
    0.1, "share of the time", because="judged: a wait that takes less slows nobody much, and is not followed"
)


def waiting(window: Window) -> WaitGraph:
    """The wait-for graph of a window; empty where nothing records it. Use with :meth:`Window.once`."""
    found: dict[tuple[int | None, int | None, str | None, str | None], Edge] = {}
    rows = window.rows(Wait)
    key_of = row_getter(Wait.pid, Wait.waker_pid, Wait.waits_in, Wait.state)
    for row, key, second in zip(rows, map(key_of, rows), window.seconds(rows), strict=True):
        edge = found.get(key)
        if edge is None:
            if row.pid is None:
                continue
            edge = found[key] = Edge(row.pid, row.comm or "?", row.waker_pid, row.waker_comm, row.waits_in, row.state)
        edge.rows.append(row)
        edge.waited.add(second, (row.wait_ns or 0) / NS_PER_S)
        edge.counted.add(second, row.count or 0)
    by_waiter: dict[int, list[Edge]] = {}
    by_waker: dict[int, list[Edge]] = {}
    for edge in found.values():
        by_waiter.setdefault(edge.pid, []).append(edge)
        if edge.waker_pid:
            by_waker.setdefault(edge.waker_pid, []).append(edge)
    return WaitGraph(list(found.values()), by_waiter, by_waker)


def shown(window: Window, edges: Iterable[Edge], run: Interval, metric: Metric[Wait] = Wait.wait_ns) -> Evidence | None:
    """The rows of edges that show how long (or, with `Wait.count`, how often) it was waited within a stretch."""
    rows = [row for edge in edges for row in edge.rows]
    return window.evidence(window.within(rows, run), metric, "sum")
