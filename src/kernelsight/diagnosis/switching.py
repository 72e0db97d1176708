"""Processes that do hardly anything but leave a CPU and come back to it."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass

from kernelsight.diagnosis.cpu_time import SHORT_SLICE_S, SWITCH_S, Use, cpu_use
from kernelsight.diagnosis.cpu_time import shown as shown_use
from kernelsight.diagnosis.duration import Duration, duration_of
from kernelsight.diagnosis.mechanism import Check, Explanation, claim, path
from kernelsight.diagnosis.model import Entity, Proposal
from kernelsight.diagnosis.remedies import LIMIT_CPU, LOOK
from kernelsight.diagnosis.threshold import Threshold
from kernelsight.diagnosis.waiting import Edge, shown, waiting
from kernelsight.diagnosis.window import Interval, Window, runs
from kernelsight.events.scheduler import Wait
from kernelsight.linux.syscalls import USER_LOCKS
from kernelsight.quantities import number

STORM_SHARE = Threshold(
    0.1, "share of one CPU", because="judged: less than a tenth of a CPU that goes into switches is not worth a word"
)
GIVEN_AWAY_SHARE = Threshold(
    0.5,
    "share of the switches",
    because="judged: who gives its CPU away (sched_yield) in half of its switches spins for something",
)
FEW_SHARE = Threshold(
    0.7,
    "share of all such switches",
    because="judged: with less, one program and those whom it wakes are not what the machine switches for",
)
OWN_LOCK_SHARE = Threshold(
    0.5, "share of a process's switches", because="judged: when half of them are waits for a lock of its own"
)
PARTNER_SHARE = Threshold(
    0.1, "share of a process's switches", because="judged: who ends a tenth of its waits takes turns with it"
)
QUEUED_SHARE = Threshold(
    0.05, "share of the time", because="judged: who waits for a CPU for less notices nothing of it"
)


@dataclass(frozen=True, slots=True)
class Switcher:
    """A process by its switches, second by second; those of seconds in which it did more than that are left out."""

    use: Use
    switches: Mapping[int, float]

    def in_(self, run: Interval) -> float:
        """Switches within a stretch."""
        return run.total(self.switches)


@dataclass(frozen=True, slots=True)
class Switching:
    """The program that switches most in a stretch of seconds, and those that it takes turns with."""

    run: Interval
    duration: Duration
    first: Use
    """The process that switches most."""
    first_switches: float
    fellows: Sequence[Use]
    """Processes of its program and its partners, those that switch most first."""
    partners: frozenset[int]
    """Pids of those who wake it."""
    switches: float
    """Of the fellows."""
    all_switches: float
    """Of everybody who does hardly anything else."""
    ran_s: float
    """What the fellows ran."""
    given_away: float
    """Times that the fellows gave their CPU away (sched_yield)."""
    own_lock_waits: float
    """Waits of the first process for locks that its own threads hand on, less the times that it gave its CPU away:
    who has a lock and gives its CPU away only to get it back holds nobody up with work."""
    victims: Sequence[Use]

    @property
    def cost_percent(self) -> float:
        """Of one CPU, what the switches cost."""
        return 100 * self.cost_share

    @property
    def cost_share(self) -> float:
        """Of one CPU, what the switches cost."""
        return self.switches * SWITCH_S / self.run.seconds

    @property
    def slice_s(self) -> float:
        """Time on a CPU between two switches."""
        return self.ran_s / max(self.switches, 1.0)

    @property
    def slice_us(self) -> float:
        """Time on a CPU between two switches."""
        return 1e6 * self.slice_s


def gives_away(suspect: Switching) -> bool:
    """Whether most switches are CPUs given away: which of the two mechanisms it is."""
    return suspect.given_away >= GIVEN_AWAY_SHARE * suspect.switches


def switching(window: Window) -> list[Switching]:
    """The stretches in which switches cost much. Use with :meth:`Window.once`."""
    switchers = _switchers(window)
    together: dict[int, float] = {}
    for switcher in switchers:
        for second, count in switcher.switches.items():
            together[second] = together.get(second, 0.0) + count
    stretches = runs(together, lambda switches: switches * SWITCH_S >= STORM_SHARE)
    return [_switching(window, sorted(switchers, key=lambda one: -one.in_(run)), run) for run in stretches]


def _switchers(window: Window) -> list[Switcher]:
    """Who does hardly anything between switches."""
    suspect = []
    for use in window.once(cpu_use):
        if not use.slept and not use.displaced:
            continue
        counted = {at: use.slept.get(at, 0.0) + use.displaced.get(at, 0.0) for at in use.ran}
        away = _given_away(window, use.pid)
        short = {
            at: n
            for at, n in counted.items()
            if n and (use.ran[at] <= SHORT_SLICE_S * n or away.get(at, 0) >= GIVEN_AWAY_SHARE * n)
        }
        if short:
            suspect.append(Switcher(use, short))
    return suspect


def _given_away(window: Window, pid: int) -> dict[int, float]:
    """How often a process gave its CPU away, by second."""
    suspect: dict[int, float] = {}
    for edge in window.once(waiting).by_waiter.get(pid, ()):
        for second, count in edge.counted.items() if edge.waits_in == "sched_yield" else ():
            suspect[second] = suspect.get(second, 0) + count
    return suspect


def _switching(window: Window, switchers: Sequence[Switcher], run: Interval) -> Switching:
    first, its_switches = switchers[0].use, switchers[0].in_(run)
    edges = window.once(waiting).by_waiter.get(first.pid, ())
    partners = frozenset(
        edge.waker_pid for edge in edges if edge.waker_pid and edge.count_in(run) >= PARTNER_SHARE * its_switches
    )
    fellows = [one for one in switchers if one.use.program == first.program or one.use.pid in partners]
    return Switching(
        run,
        duration_of(window, run),
        first,
        its_switches,
        fellows=[one.use for one in fellows],
        partners=partners,
        switches=sum(one.in_(run) for one in fellows),
        all_switches=sum(one.in_(run) for one in switchers),
        ran_s=sum(one.use.ran_in(run) for one in fellows),
        given_away=sum(run.total(_given_away(window, one.use.pid)) for one in fellows),
        own_lock_waits=_own_locks(edges, run) - run.total(_given_away(window, first.pid)),
        victims=_victims(window, [one.use for one in fellows], run),
    )


def _own_locks(edges: Iterable[Edge], run: Interval) -> float:
    return sum(edge.count_in(run) for edge in edges if edge.is_own and edge.waits_in in USER_LOCKS)


def _victims(window: Window, fellows: Sequence[Use], run: Interval) -> Sequence[Use]:
    """Who waits for a CPU beside them; if nobody does, they themselves."""
    pids = {use.pid for use in fellows}
    slowed = [
        use
        for use in window.once(cpu_use)
        if use.pid not in pids and not use.is_kernel_worker and use.queued_in(run) >= QUEUED_SHARE * run.seconds
    ]
    slowed.sort(key=lambda use: -use.queued_in(run))
    return (slowed or fellows)[:5]


COSTLY: Check[Switching] = Check(
    id="costly",
    says="switching costs {cost_percent:.0f} % of a CPU",
    holds=lambda suspect: suspect.cost_share >= STORM_SHARE,
    supports=2.0,
    refutes=5.0,
    because="judged: it is the harm itself; switches that cost little harm nobody, however many others there are",
)
FEW: Check[Switching] = Check(
    id="few_programs",
    says="few programs do most of it",
    holds=lambda suspect: suspect.switches >= FEW_SHARE * suspect.all_switches,
    supports=1.0,
    refutes=2.0,
    because="judged: else the machine switches for many reasons, of which this one is a part",
)
NO_LOCK: Check[Switching] = Check(
    id="no_lock_of_one",
    says="it is no lock of one program",
    holds=lambda suspect: suspect.own_lock_waits <= OWN_LOCK_SHARE * suspect.first_switches,
    supports=0.5,
    refutes=4.0,
    because="judged: most programs are not, so it supports little; else the threads of one program wait for its lock "
    "(`lock_contention`)",
)


def explain(window: Window, suspect: Switching) -> Explanation:
    """A part of the CPUs goes into switching while the program runs."""
    run, name = suspect.run, suspect.first.entity
    edges = [edge for use in suspect.fellows[:4] for edge in window.once(waiting).by_waiter.get(use.pid, ())]
    fellows = tuple(use.entity for use in suspect.fellows if use.entity != name)
    others = [use.entity for use in suspect.victims if use.entity not in {name, *fellows}]
    return Explanation(
        culprit=name,
        onset_ns=window.at(run.first),
        victims=tuple(use.entity for use in suspect.victims),
        does=f"{'switch' if fellows else 'switches'} {number(round(suspect.switches / run.seconds))} times a second",
        detail=f"{suspect.slice_us:.0f} µs on a CPU each time",
        harm="gets less CPU time" if others else "",
        fellows=fellows,
        suffering_s=suspect.switches * SWITCH_S,
        path=path(
            claim(
                f"{len(suspect.fellows)} processes switched {suspect.switches / run.seconds:.0f} times a second, "
                f"after {suspect.slice_us:.0f} µs on a CPU each time",
                *(shown_use(window, use, run, "switched") for use in suspect.fellows[:4]),
            ),
            claim(
                f"partners such as {suspect.first.comm} ({suspect.first.pid}) wake each other each time",
                shown(window, (edge for edge in edges if edge.waker_pid in suspect.partners), run, Wait.count),
            ),
            claim(
                "they give their CPU away (sched_yield)",
                shown(window, (edge for edge in edges if edge.waits_in == "sched_yield"), run, Wait.count),
            ),
        ),
        refuted_by=f"the machine switches as often without {name.name}",
        outlook="a part of the CPUs goes into switching while it runs",
        actions=_actions(name),
    )


def _actions(name: Entity) -> tuple[Proposal, ...]:
    return (
        LOOK.on(name, f"let {name.name} hand over more at a time, or do the work in one process"),
        LIMIT_CPU.on(name, f"give {name.name} a CPU quota"),
    )
