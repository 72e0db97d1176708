"""Storms of context switches: processes that do hardly anything but take turns."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass

from kernelsight.diagnosis.candidate import Candidate
from kernelsight.diagnosis.contention import is_burst
from kernelsight.diagnosis.cpu_time import SHORT_SLICE_S, SWITCH_S, Use, cpu_use
from kernelsight.diagnosis.cpu_time import shown as shown_use
from kernelsight.diagnosis.hypothesis import hypothesis
from kernelsight.diagnosis.lines import USER_LOCKS
from kernelsight.diagnosis.model import Entity, Proposal
from kernelsight.diagnosis.scene import Run, Scene, runs
from kernelsight.diagnosis.waiting import Edge, shown, waiting

STORM_SHARE = 0.1
"""Of one CPU, what switches must cost before they are worth speaking of."""
GIVEN_AWAY = 0.5
"""Of the switches, the share in which a task gives its CPU away (sched_yield): it spins for something."""
FEW = 0.7
"""Of all these switches, the share of one program and those whom it wakes."""


@dataclass(frozen=True, slots=True)
class Switcher:
    """A process by its switches, second by second; those of seconds in which it did more than that are left out."""

    use: Use
    switches: Mapping[int, float]

    def in_(self, run: Run) -> float:
        """Switches within a stretch."""
        return run.total(self.switches)


def switchers(scene: Scene) -> list[Switcher]:
    """Who does hardly anything between switches. Use with :meth:`Scene.once`."""
    found = []
    for use in scene.once(cpu_use):
        counted = {at: use.slept.get(at, 0.0) + use.displaced.get(at, 0.0) for at in use.ran}
        away = _given_away(scene, use.pid)
        short = {
            at: n
            for at, n in counted.items()
            if n and (use.ran[at] <= SHORT_SLICE_S * n or away.get(at, 0) >= GIVEN_AWAY * n)
        }
        if short:
            found.append(Switcher(use, short))
    return found


def _given_away(scene: Scene, pid: int) -> dict[int, float]:
    """How often a process gave its CPU away, by second."""
    found: dict[int, float] = {}
    for edge in scene.once(waiting).by_waiter.get(pid, ()):
        for second, count in edge.counted.items() if edge.waits_in == "sched_yield" else ():
            found[second] = found.get(second, 0) + count
    return found


@hypothesis("context_switch_storm")
def they_only_take_turns(scene: Scene) -> Iterable[Candidate]:
    """A few processes wake each other, or give their CPU away, so often that switching is much of what they do."""
    found = scene.once(switchers)
    together: dict[int, float] = {}
    for one in found:
        for second, count in one.switches.items():
            together[second] = together.get(second, 0.0) + count
    for run in runs(together, lambda switches: switches * SWITCH_S >= STORM_SHARE):
        yield _candidate(scene, sorted(found, key=lambda one: -one.in_(run)), run)


def _candidate(scene: Scene, found: Sequence[Switcher], run: Run) -> Candidate:
    first = found[0]
    graph = scene.once(waiting)
    partners = {
        edge.waker_pid
        for edge in graph.by_waiter.get(first.use.pid, ())
        if edge.waker_pid and edge.count_in(run) >= 0.1 * first.in_(run)
    }
    fellows = [one for one in found if one.use.program == first.use.program or one.use.pid in partners]
    switches, total = (sum(one.in_(run) for one in these) for these in (fellows, found))
    ran = sum(one.use.ran_in(run) for one in fellows)
    cost = switches * SWITCH_S / run.seconds
    candidate = Candidate("context_switch_storm", first.use.entity, scene.at(run.first))
    candidate.victims = _victims(scene, fellows, run)
    candidate.suffering_s = switches * SWITCH_S
    candidate.check(f"switching costs {100 * cost:.0f} % of a CPU", cost >= STORM_SHARE, 2.0, 5.0)
    slice_us = 1e6 * ran / max(switches, 1.0)
    gave = sum(run.total(_given_away(scene, one.use.pid)) for one in fellows)
    away = gave >= GIVEN_AWAY * switches
    if away:
        candidate.check("they give their CPU away instead of waiting", away, 3.0, 0.0)
    else:
        candidate.check(f"they run for {slice_us:.0f} µs at a time", slice_us <= 1e6 * SHORT_SLICE_S, 1.5, 4.0)
    candidate.check("it goes on, or was more than a burst", not is_burst(scene, run), 0.0, 8.0)
    candidate.check("few programs do most of it", switches >= FEW * total, 1.0, 2.0)
    # Who has a lock and gives its CPU away only to get it back holds nobody up with work.
    own = _own_locks(graph.by_waiter.get(first.use.pid, ()), run) - run.total(_given_away(scene, first.use.pid))
    candidate.check("it is no lock of one program", own <= 0.5 * first.in_(run), 0.5, 4.0)
    candidate.step(
        f"{len(fellows)} processes switched {switches / run.seconds:.0f} times a second, "
        f"after {slice_us:.0f} µs on a CPU each time",
        *(shown_use(scene, one.use, run, "switched") for one in fellows[:4]),
    )
    edges = [edge for one in fellows[:4] for edge in graph.by_waiter.get(one.use.pid, ())]
    candidate.step(
        f"partners such as {first.use.comm} ({first.use.pid}) wake each other each time",
        shown(scene, (edge for edge in edges if edge.waker_pid in partners), run, "count"),
    )
    candidate.step(
        "they give their CPU away (sched_yield)",
        shown(scene, (edge for edge in edges if edge.waits_in == "sched_yield"), run, "count"),
    )
    name = first.use.entity
    candidate.refuted_by = f"the machine switches as often without {name.name}"
    candidate.outlook = "a part of the CPUs goes into switching while it runs"
    candidate.actions = (
        Proposal("look", name, f"let {name.name} hand over more at a time, or do the work in one process"),
        Proposal("limit_cpu", name, f"give {name.name} a CPU quota"),
    )
    return candidate


def _victims(scene: Scene, fellows: Sequence[Switcher], run: Run) -> tuple[Entity, ...]:
    """Who waits for a CPU beside them; if nobody does, they themselves."""
    pids = {one.use.pid for one in fellows}
    slowed = [
        use
        for use in scene.once(cpu_use)
        if use.pid not in pids and not use.is_kernel_worker and use.queued_in(run) >= 0.05 * run.seconds
    ]
    slowed.sort(key=lambda use: -use.queued_in(run))
    return tuple(use.entity for use in (slowed or [one.use for one in fellows])[:5])


def _own_locks(edges: Iterable[Edge], run: Run) -> float:
    return sum(edge.count_in(run) for edge in edges if edge.is_own and edge.waits_in in USER_LOCKS)
