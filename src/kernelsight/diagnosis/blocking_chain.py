"""Who suffers from afar: processes that wait for those who wait for the culprit.

A client waits for its server and the server for the disk: that the client is slow is what people notice.
That one process waits for another is no suffering, most do; that each such wait takes longer than before is.
"""

from __future__ import annotations

from collections.abc import Iterator

from kernelsight.diagnosis.candidate import Candidate
from kernelsight.diagnosis.model import Step
from kernelsight.diagnosis.processes import named
from kernelsight.diagnosis.waiting import LEAST_SHARE, Edge, shown, waiting
from kernelsight.diagnosis.window import NS_PER_S, Interval, Window
from kernelsight.events.scheduler import Wait
from kernelsight.quantities import quantity

LONGER = 2.0
"""Times as long as before: less is what requests differ by."""
LEAST_WAITS = 5
"""Waits, before and since, of which a mean says something."""
FAR = 3
"""Processes from the culprit's victims up to which it is followed."""
MOST = 3
"""Claims for each of them: of very many clients, those that wait longest."""


def from_afar(window: Window, candidate: Candidate) -> tuple[Step, ...]:
    """A claim for each process that has to wait longer for a victim than before, the farthest first."""
    onset = window.second_at(candidate.onset_ns)
    last = window.second_at(window.when.end_ns)
    usual, run = Interval(0, onset - 1), Interval(onset, last)
    near = [int(victim.id) for victim in candidate.victims if victim.kind == "process"]
    seen = {*near}
    if candidate.culprit.kind == "process":
        seen.add(int(candidate.culprit.id))
    steps: list[Step] = []
    for _ in range(FAR):
        longer = [edge for pid in near for edge in _longer(window, pid, usual, run) if edge.pid not in seen]
        edges = sorted(longer, key=lambda edge: -edge.waited_in(run))[:MOST]
        steps = [*(step for edge in edges if (step := _said(window, edge, usual, run))), *steps]
        near = [edge.pid for edge in edges]
        seen.update(near)
    return tuple(steps)


def _longer(window: Window, pid: int, usual: Interval, run: Interval) -> Iterator[Edge]:
    """Of those who wait for a process, who is kept waiting for much of the time, and longer each time than before."""
    for edge in window.once(waiting).by_waker.get(pid, ()):
        if edge.is_idle or edge.rests or edge.state == "runnable" or edge.waited_in(run) < LEAST_SHARE * run.seconds:
            continue
        enough = min(edge.count_in(usual), edge.count_in(run)) >= LEAST_WAITS
        if enough and edge.mean_in(run) >= LONGER * edge.mean_in(usual):
            yield edge


def _said(window: Window, edge: Edge, usual: Interval, run: Interval) -> Step | None:
    waited, times = (shown(window, (edge,), run, metric) for metric in (Wait.wait_ns, Wait.count))
    if waited is None or times is None:
        return None
    now_ms, before_ms = 1e3 * waited.value / NS_PER_S / times.value, 1e3 * edge.mean_in(usual)
    server = named(window, edge.waker_pid or 0)
    return Step(
        f"{edge.comm} ({edge.pid}) waits {quantity(now_ms, 'ms')} for {server.name} ({server.id}) each time, "
        f"and waited {quantity(before_ms, 'ms')} before",
        (waited, times),
    )
