"""Stretches in which CPUs are busy and processes wait for them: who wants them, who has them, who suffers."""

from __future__ import annotations

from collections.abc import Callable, Hashable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import TypeVar

from kernelsight.diagnosis.cpu_time import Use, cpu_use, queued
from kernelsight.diagnosis.duration import BURST_S
from kernelsight.diagnosis.processes import processes
from kernelsight.diagnosis.seconds import telling
from kernelsight.diagnosis.threshold import Threshold
from kernelsight.diagnosis.window import CounterDelta, Interval, Window, runs
from kernelsight.events.cgroup import Cgroup
from kernelsight.events.fields import Metric
from kernelsight.events.scheduler import Cpu
from kernelsight.signals.rules.processes import WAITS_FOR_CPU_MS_PER_S

K = TypeVar("K", bound=Hashable)

WAITS_PER_S = Threshold(
    WAITS_FOR_CPU_MS_PER_S / 1000 / 2,
    "s of waiting for a CPU per second",
    because="judged: where all processes together wait for less, nobody can be said to suffer. Half of what the signal "
    "`process_waits_for_cpu` tells at for one program",
)
BUSY_SHARE = Threshold(
    0.9,
    "share of a second",
    because="judged: a CPU that is short does not idle; the rest is for the accuracy of ticks, which are 10 ms long",
)
SLOWED_SHARE = Threshold(
    0.3,
    "share of the time that a process wanted to run",
    because="judged: who waits for so much of it suffers: its work takes 1/0.7 of the time",
)
NOTICED_SHARE = Threshold(0.02, "share of the time", because="judged: who waits for less is not worth a word")
STARVED_SHARE = Threshold(
    0.25,
    "of an equal share of the CPUs",
    because="judged: groups and sessions share first, and their members among themselves, so a good deal less than an "
    "equal share is usual; a task that gets less than this is starved",
)
CROWD_PER_CPU = Threshold(
    6.0,
    "runnable threads per CPU",
    because="judged: from so many on it is their number that hurts, and not who they are",
)
HELD_SHARE = Threshold(
    0.05,
    "share of the time",
    because="judged: what a quota holds back for less than a twentieth of the time is no "
    "slower than from one run to the next",
)
"""From which on a quota that holds a group back matters."""


@dataclass(frozen=True, slots=True)
class Contention:
    """A stretch in which processes waited for CPUs, and the processes by what they used in it."""

    run: Interval
    uses: Sequence[Use]
    """All that ran, the largest consumers first; without those that a quota holds back, whose waits are its."""
    cpus: int
    """CPUs that are short: all of the machine, or those that the tasks may use."""
    loops: Sequence[Use]
    """Those that want a CPU all the time and do not give way to others, the largest consumers first."""
    before: Interval | None
    """The seconds before, as far as anything is known of them; None where that is too short to compare with."""
    giving_way: frozenset[int]
    """Pids of those that were told to give way (nice): they take no CPU from anybody, and do not mind to wait."""

    def others(self, takers: Iterable[Use]) -> list[Use]:
        """Who is slowed and not one of those: those that waited longest first."""
        taking = {use.pid for use in takers}
        others = [use for use in self.uses if use.pid not in taking and not use.is_kernel_worker]
        slowed = [use for use in others if self.slowed(use) and use.pid not in self.giving_way]
        return sorted(slowed, key=lambda use: -use.queued_in(self.run))

    def slowed(self, use: Use) -> bool:
        """Whether a process waited for a good part of the time in which it wanted to run."""
        queued = use.queued_in(self.run)
        return queued >= NOTICED_SHARE * self.run.seconds and queued >= SLOWED_SHARE * use.wanted_in(self.run)

    def per_second(self, uses: Iterable[Use], what: Callable[[Use, Interval], float]) -> float:
        """What processes did together, such as `Use.ran_in`, a second of the stretch."""
        return sum(what(use, self.run) for use in uses) / self.run.seconds

    def taken(self, use: Use) -> float:
        """Seconds of CPU that a process used in the stretch, beyond what it had used when nobody waited.

        Who was as busy before was no trouble to anybody then.
        """
        if self.before is None:
            return use.ran_in(self.run)
        return use.ran_in(self.run) - use.ran_in(self.before) * self.run.seconds / self.before.seconds

    def began(self, uses: Sequence[Use]) -> int:
        """The second of the stretch from which on processes together wanted at least half of what they want in it."""
        usual = self.per_second(uses, Use.wanted_in)
        seconds = range(self.run.first, self.run.last + 1)
        return next(at for at in seconds if sum(use.wanted_in(Interval(at, at)) for use in uses) >= usual / 2)

    @property
    def insisting(self) -> list[Use]:
        """All but those that give way."""
        return [use for use in self.uses if use.pid not in self.giving_way]

    @property
    def load(self) -> float:
        """Threads a CPU that ran or waited, on average, of those that do not give way."""
        return self.per_second(self.insisting, Use.wanted_in) / self.cpus


LOOKS_BACK_S = Threshold(10, "s", because="judged: what a process used just before is what it usually uses")
LEAST_BEFORE_S = Threshold(3, "s", because="judged: a mean of less says little")


def contention(window: Window) -> list[Contention]:
    """The stretches in which processes wait for CPUs that are busy. Use with :meth:`Window.once`."""
    return list(_contention(window))


def _contention(window: Window) -> Iterator[Contention]:
    uses = window.once(cpu_use)
    busy = _busy(window)
    waits = {second: waited if busy.get(second, 1) else 0.0 for second, waited in queued(uses).items()}
    known = window.once(processes)
    kernel = {pid for pid, one in known.items() if one.is_kernel_thread}
    giving_way = frozenset(pid for pid, one in known.items() if one.nice > 0)
    for run, whole in _with_latest(telling(runs(waits, lambda waited: waited >= WAITS_PER_S))):
        groups = [within[-1].after for within in throttled(window, run)]
        free = [use for use in uses if use.wanted_in(run) and not any(use.is_in(group) for group in groups)]
        if free:
            free.sort(key=lambda use: -use.ran_in(run))
            short = sorted(cpus for second, cpus in busy.items() if second in run and cpus)
            cpus = short[len(short) // 2] if short else window.cpus
            equal = cpus * run.seconds / sum(use.wanted_in(run) for use in free)
            loops = [use for use in free if _is_loop(use, run, equal) and use.pid not in kernel | giving_way]
            if whole != run and any(use.lasts_in(whole) for use in loops):
                continue  # who was there all the time is judged by all of it
            start = max(min(waits), run.first - int(LOOKS_BACK_S))
            before = Interval(start, run.first - 1) if run.first - start >= LEAST_BEFORE_S else None
            yield Contention(run, free, cpus, loops, before, giving_way)


def _with_latest(stretches: Iterable[Interval]) -> Iterator[tuple[Interval, Interval]]:
    """Stretches, each with itself, and of each long one its end with the whole.

    Who came to a busy machine is little of all of it.
    """
    for run in stretches:
        yield run, run
        if run.seconds > 2 * BURST_S:
            yield Interval(run.last - int(BURST_S) + 1, run.last), run


def _is_loop(use: Use, run: Interval, equal: float) -> bool:
    """Whether a process takes all that it gets.

    Who gets far less of what it wants than the ``equal`` share is starved, and may sleep if it is not.
    """
    served = use.ran_in(run) >= STARVED_SHARE * equal * use.wanted_in(run)
    return served and use.lasts_in(run) and use.never_sleeps_in(run) and not use.is_kernel_worker


def _busy(window: Window) -> Mapping[int, int]:
    """By second: how many CPUs did not idle. Without them, nobody waits for a CPU, but for leave to use one."""
    found: dict[int, int] = {}
    for (cpu,), deltas in window.deltas(Cpu).items():
        for delta in deltas if cpu is not None and cpu >= 0 else ():
            second = window.second(delta.after)
            idle = delta.of(Cpu.idle) + delta.of(Cpu.iowait)
            found[second] = found.get(second, 0) + (idle <= (1 - BUSY_SHARE) * sum(map(delta.of, CPU_TIMES)))
    return found


CPU_TIMES: tuple[Metric[Cpu], ...] = (
    Cpu.user, Cpu.nice, Cpu.system, Cpu.idle, Cpu.iowait, Cpu.irq, Cpu.softirq, Cpu.steal,
)  # fmt: skip
"""What a CPU's time is spent on."""


def largest_kin(uses: Iterable[Use], kin: Callable[[Use], K], amount: Callable[[Use], float]) -> K:
    """The kin whose amounts are the largest together; of equal ones, the first."""
    sums: dict[K, float] = {}
    for use in uses:
        sums[kin(use)] = sums.get(kin(use), 0.0) + amount(use)
    return max(sums, key=lambda one: sums[one])


def interrupted(window: Window, run: Interval) -> float:
    """Of the time that CPUs did not idle within a stretch, the share that went to interrupts and softirqs."""
    spent, busy = spent_by_cpus(window.during(of_all_cpus(window), run))
    return (spent[Cpu.irq] + spent[Cpu.softirq]) / busy if busy else 0.0


def taken_away(window: Window, run: Interval) -> float:
    """Of the time that CPUs did not idle within a stretch, the share that the hypervisor took."""
    spent, busy = spent_by_cpus(window.during(of_all_cpus(window), run))
    return spent[Cpu.steal] / busy if busy else 0.0


def of_all_cpus(window: Window) -> Sequence[CounterDelta[Cpu]]:
    """What all CPUs together did, from sample to sample."""
    return window.deltas(Cpu).get((-1,), ())


def spent_by_cpus(deltas: Iterable[CounterDelta[Cpu]]) -> tuple[Mapping[Metric[Cpu], float], float]:
    """Ticks by what they were spent on, and how many of them not idling."""
    deltas = list(deltas)
    spent = {column: float(sum(delta.of(column) for delta in deltas)) for column in CPU_TIMES}
    return spent, sum(spent.values()) - spent[Cpu.idle] - spent[Cpu.iowait]


def throttled(window: Window, run: Interval) -> list[list[CounterDelta[Cgroup]]]:
    """What the control groups did that were held back by a quota for a good part of a stretch."""
    found = []
    for deltas in window.deltas(Cgroup).values():
        within = window.during(deltas, run)
        if held(within) >= HELD_SHARE * run.seconds:
            found.append(within)
    return found


def is_held_back(window: Window, use: Use, run: Interval) -> bool:
    """Whether a process lies in a control group that a quota held back for a good part of a stretch."""
    return any(use.is_in(deltas[-1].after) for deltas in throttled(window, run))


def held(deltas: Iterable[CounterDelta[Cgroup]]) -> float:
    """Seconds that a quota held a control group back."""
    return sum(delta.of(Cgroup.cpu_throttled_us) for delta in deltas) / 1e6
